import { readdirSync, readFileSync } from "node:fs";
import { uptime } from "node:os";

/** A pid alone may be somebody else's by now; with its start time it names a process for good. */
export type ProcessIdentity = { pid: number; startTime: string };

/** What /proc/PID/stat says of a process, see proc_pid_stat(5). */
export type ProcessInfo = ProcessIdentity & { parent: number; group: number; session: number };

/** "PID STARTTIME\n", as the shim and the workers write down who they are. */
export function formatIdentity({ pid, startTime }: ProcessIdentity): string {
  return `${pid} ${startTime}\n`;
}

/** Null when it is not whole, or names nobody who could be signalled. */
export function parseIdentity(text: string): ProcessIdentity | null {
  const match = /^(\d{1,10}) (\d{1,20})\n$/.exec(text);
  const pid = Number(match?.[1]);
  const startTime = match?.[2];
  return startTime !== undefined && pid > 1 ? { pid, startTime } : null;
}

/** Null when there is no such process, or it has ended and only waits to be reaped (a zombie). */
export function readProcess(pid: number): ProcessInfo | null {
  const stat = readProc(`${pid}/stat`);
  if (stat === null) return null;
  // Field 2 is a name that the program chooses: it may hold spaces and parentheses. The last ")" ends it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, session] = fields;
  const startTime = fields[19];
  if (startTime === undefined || state === "Z" || state === "X") return null;
  return { pid, startTime, parent: Number(parent), group: Number(group), session: Number(session) };
}

/** Whether a process has been stopped where it is (SIGSTOP), or is gone. */
export function isStopped(pid: number): boolean {
  const stat = readProc(`${pid}/stat`);
  return stat === null || /^[TtZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

/** Every process of this machine that we can see, zombies excepted. */
export function listProcesses(): ProcessInfo[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((process) => process !== null);
}

/** The children of a process, oldest first; zombies excepted. */
export function childrenOf(pid: number): ProcessInfo[] {
  const children = readProc(`${pid}/task/${pid}/children`);
  // A kernel without CONFIG_PROC_CHILDREN has no such file.
  if (children === null)
    return listProcesses()
      .filter(({ parent }) => parent === pid)
      .sort(byStart);
  return children
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => readProcess(Number(word)))
    .filter((process) => process !== null);
}

/** The pid of a process in its own pid namespace (pid_namespaces(7)); null when it is gone. */
export function pidInside(pid: number): number | null {
  const inside = /^NSpid:.*\s(\d+)$/m.exec(readProc(`${pid}/status`) ?? "")?.[1];
  return inside === undefined ? null : Number(inside);
}

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return readProcess(pid)?.startTime === startTime;
}

/** The real uid of a process; null when it is gone. */
export function uidOf(pid: number): number | null {
  const uid = /^Uid:\s+(\d+)/m.exec(readProc(`${pid}/status`) ?? "")?.[1];
  return uid === undefined ? null : Number(uid);
}

/** "NAME=value" of the environment with which a process was started; empty when it may not be read. */
export function environmentOf(pid: number): Set<string> {
  return new Set((readProc(`${pid}/environ`) ?? "").split("\0"));
}

let thisBoot: string | undefined;

/** The identity of this boot of the machine: a pid of another boot is nobody. */
export function bootId(): string {
  thisBoot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return thisBoot;
}

/** When a process was started, ISO 8601. */
export function startedAt({ startTime }: ProcessIdentity): string {
  const bootedAt = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]);
  return new Date((bootedAt + Number(startTime) / ticksPerSecond) * 1000).toISOString();
}

/** How long ago a process was started, ms. By the clock of the kernel, which nobody sets. */
export function ageMs({ startTime }: Pick<ProcessIdentity, "startTime">): number {
  return Math.max(0, (uptime() - Number(startTime) / ticksPerSecond) * 1000);
}

/** Which of two processes was started first, as a comparison for `sort`. */
export function byStart(
  a: Pick<ProcessIdentity, "startTime">,
  b: Pick<ProcessIdentity, "startTime">,
): number {
  return Number(BigInt(a.startTime) - BigInt(b.startTime));
}

/** This very process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, startTime: readProcess(process.pid)?.startTime ?? "" };
}

/** USER_HZ: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

function readProc(path: string): string | null {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    // Gone meanwhile (ENOENT, ESRCH), or another user's: either way there is nothing that can be known.
    return null;
  }
}
