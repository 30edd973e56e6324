import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isSystemError } from "../errors.ts";
import { lockHolder } from "../lib/lock-file.ts";
import { isAlive } from "../lib/processes.ts";
import { serviceName } from "./unit.ts";

/** The controller that serves a home: its pid, and whether systemd started it as the service. */
export type RunningController = { pid: number; isService: boolean };

/** Null when none serves it. */
export async function findController(home: string): Promise<RunningController | null> {
  const holder = await lockHolder(join(home, "run", "controller.lock"));
  return holder && isAlive(holder) ? { pid: holder.pid, isService: isInService(holder.pid) } : null;
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
