/**
 * What `maestro serve` exits with under systemd when all of Maestro was told to end. Restart=always would start it
 * again after any other; this one the unit excepts. Outside of what sysexits.h, shells and systemd.exec(5) use.
 */
export const endedForGood = 100;

/** The exit status of an end of everything that `maestro stop` or SIGINT asked for. */
export function exitStatusOfStop(env: NodeJS.ProcessEnv): number {
  return isService(env) ? endedForGood : 0;
}

/** Whether a service manager started this process, and starts it again: NOTIFY_SOCKET, sd_notify(3). */
export function isService(env: NodeJS.ProcessEnv): boolean {
  return (env["NOTIFY_SOCKET"] ?? "") !== "";
}
