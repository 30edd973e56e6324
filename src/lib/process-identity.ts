import { readFile } from "node:fs/promises";
import { isSystemError } from "../errors.ts";

/** A process for good: a pid alone may be somebody else's later. */
export type ProcessIdentity = { pid: number; startTime: string };

/** Field 22 of /proc/PID/stat (proc(5)): clock ticks from boot to the start of the process; null if it is gone. */
export async function startTimeOf(pid: number): Promise<string | null> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ESRCH")) return null;
    throw error;
  }
  // The command in parentheses may hold spaces and parentheses: count from the last one. State is field 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
}

export async function isAlive({ pid, startTime }: ProcessIdentity): Promise<boolean> {
  return (await startTimeOf(pid)) === startTime;
}
