/** What can be limited or counted. `cpuacct`, which counts CPU time, is a controller of its own in v1 only. */
export type Controller = "memory" | "cpu" | "pids" | "freezer" | "cpuacct";

/** The part of a group that is in one hierarchy. In v2 one is all of it; in v1 there may be one a controller. */
export type Part = { version: 1 | 2; controllers: ReadonlySet<Controller>; directory: string };

/** Where a controller of a group is; null when the group does not have it. */
export function partWith(parts: readonly Part[], controller: Controller): Part | null {
  return parts.find(({ controllers }) => controllers.has(controller)) ?? null;
}
