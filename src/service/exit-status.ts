/**
 * What `maestro serve` exits with under systemd when all of Maestro was told to end. Restart=always would start it
 * again after any other; this one the unit excepts. Outside of what sysexits.h, shells and systemd.exec(5) use.
 */
export const endedForGood = 100;

/** The exit status of an end of everything that `maestro stop` or SIGINT asked for. NOTIFY_SOCKET: sd_notify(3). */
export function exitStatusOfStop(env: NodeJS.ProcessEnv): number {
  return (env["NOTIFY_SOCKET"] ?? "") === "" ? 0 : endedForGood;
}
