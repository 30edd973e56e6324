import { readFileSync } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../errors.ts";
import { LockedError, takeLock } from "../lib/lock-file.ts";
import { serviceName } from "./unit.ts";

/** The controller that serves a home: its pid, and whether systemd started it as the service. */
export type RunningController = { pid: number; isService: boolean };

/** Null when none serves it. */
export async function findController(home: string): Promise<RunningController | null> {
  const lock = join(home, "run", "controller.lock");
  try {
    await access(lock);
    await using _taken = await takeLock(lock);
    return null; // What was left there was nobody's any more.
  } catch (error) {
    if (error instanceof LockedError) return { pid: error.pid, isService: isInService(error.pid) };
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return null;
    throw error;
  }
}

/** By its control group: cgroups(7), /proc/PID/cgroup. */
function isInService(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").split(/[/\n]/).includes(serviceName);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ESRCH")) return false; // It has ended meanwhile.
    throw error;
  }
}
