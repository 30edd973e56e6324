import type { LaunchSpec } from "../app/instance.ts";
import type { Host } from "./host.ts";

/** Limits as setrlimit(2) sets them. Null: none. */
export type Ceilings = {
  /** Processes and threads of its user: RLIMIT_NPROC. */
  processes: number | null;
};

/**
 * What stands in for the control groups that a machine lacks. It is less: the instances of an app share the number of
 * processes. Memory has no such ceiling: what RLIMIT_DATA and RLIMIT_AS count, V8 reserves by the gigabyte, and does not
 * start; there is Node's heap that is sized by the limit (environment.ts).
 */
export function ceilingsFor(
  { limits, user }: Pick<LaunchSpec, "limits" | "user">,
  { powers, sandbox }: Pick<Host, "powers" | "sandbox">,
): Ceilings {
  // Of Maestro's own user all other processes would be counted as well; in a user namespace only those in it are.
  const isCountedApart = user !== null || sandbox.level === "userns";
  return { processes: powers.pids.available || !isCountedApart ? null : limits.pids };
}
