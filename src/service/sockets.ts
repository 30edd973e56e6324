/** The first descriptor that is handed over: SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstDescriptor = 3;

/**
 * The descriptors of listening sockets that the service manager handed to this process, as sd_listen_fds(3) tells
 * it: in the order of the socket unit's ListenStream=. None when they were meant for another process. The variables
 * are taken out of `env`, so that no child takes them for its own.
 */
export function inheritedSockets(env: NodeJS.ProcessEnv, pid: number): number[] {
  const { LISTEN_PID: addressee = "", LISTEN_FDS: count = "" } = env;
  delete env["LISTEN_PID"];
  delete env["LISTEN_FDS"];
  delete env["LISTEN_FDNAMES"];
  if (addressee !== String(pid) || !/^\d{1,4}$/.test(count)) return [];
  return Array.from({ length: Number(count) }, (_, index) => firstDescriptor + index);
}
