import { z } from "zod";

/**
 * How apps are kept apart from each other and from the machine, the weakest first. `process`: a process of its own,
 * under a user of its own where Maestro is root. `landlock`: and it opens nothing but what is its own. `userns`: in
 * namespaces of its own, all apps under Maestro's user. `full`: in namespaces, under a user of its own.
 */
export const isolationLevels = ["process", "landlock", "userns", "full"] as const;
export const IsolationLevel = z.enum(isolationLevels);
export type IsolationLevel = z.infer<typeof IsolationLevel>;

export function isAtLeast(level: IsolationLevel, wanted: IsolationLevel): boolean {
  return isolationLevels.indexOf(level) >= isolationLevels.indexOf(wanted);
}

/** What an app may do to others, or they to it, each looked at by itself. */
export const dimensions = ["files", "processes", "user", "network", "memory", "cpu", "system calls"] as const;
export const Dimension = z.enum(dimensions);
export type Dimension = z.infer<typeof Dimension>;

/** One thing that a program in the sandbox of an app tried, which it must not be able to do. */
export const Attempt = z.object({
  dimension: Dimension,
  /** What was tried: "read a neighbour's file". */
  attempt: z.string(),
  refused: z.boolean(),
  /** What came of it, as the program saw it. */
  detail: z.string(),
});
export type Attempt = z.infer<typeof Attempt>;

/** What holds for the apps of this machine. */
export const Isolation = z.object({
  level: IsolationLevel,
  /** By dimension, from what was tried and not from what is configured; none while nothing was tried yet. */
  holds: z.partialRecord(Dimension, z.boolean()),
  /** Why what does not hold does not, and why the level is not a higher one, in sentences. */
  notes: z.array(z.string()),
  attempts: z.array(Attempt),
  /** When the attempts were made, ISO 8601; null: not yet. */
  triedAt: z.string().nullable(),
});
export type Isolation = z.infer<typeof Isolation>;
