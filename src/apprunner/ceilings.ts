import type { LaunchSpec } from "../app/instance.ts";
import type { Powers } from "./cgroup/cgroups.ts";

/** Limits that each process has for itself, as setrlimit(2) sets them. Null: none. */
export type Ceilings = {
  /** KiB, of what it can write to: RLIMIT_DATA. */
  data: number | null;
  /** Processes and threads of its user: RLIMIT_NPROC. */
  processes: number | null;
};

/**
 * What stands in for the control groups that a machine lacks. It is less: each process may use as much as the whole
 * instance was to use, and the instances of an app share the number of processes.
 */
export function ceilingsFor(
  { limits, user }: Pick<LaunchSpec, "limits" | "user">,
  { memory, pids }: Pick<Powers, "memory" | "pids">,
): Ceilings {
  return {
    data: memory.available || limits.memory === null ? null : Math.floor(limits.memory / 1024),
    // Of Maestro's own user all other processes would be counted as well.
    processes: pids.available || user === null ? null : limits.pids,
  };
}
