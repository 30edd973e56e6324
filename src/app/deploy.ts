import { z } from "zod";
import { AppName } from "./app.ts";

/**
 * How a deploy ended. `done`, `failed`: as its caller was told. `finished`, `undone`: its controller ended in the
 * middle of it, and the next one found that the switch had been decided, or that it had not and nothing was changed.
 */
export const DeployOutcome = z.enum(["done", "failed", "finished", "undone"]);
export type DeployOutcome = z.infer<typeof DeployOutcome>;

/** One deploy of an app, under way or in its history: state/deploys/APP/ID.json. Times are ISO 8601. */
export const DeployRecord = z.object({
  v: z.literal(1),
  /** Sorts by the time at which it began. */
  id: z.string().regex(/^[0-9a-z]{8,12}$/),
  app: AppName,
  /** Who asked for it. */
  by: z.string(),
  startedAt: z.string(),
  /**
   * `deploy`: of what was sent; `config`: of the same code with another config; `rollback`: of an earlier release;
   * `scale`: of no release, but more or fewer processes of the one that serves.
   */
  what: z.enum(["deploy", "config", "rollback", "scale"]).default("deploy"),
  /** The commit that was deployed, where the caller named one. */
  commit: z.string().nullable().default(null),
  /** The controller that does it: a pid and its start time (field 22 of /proc/PID/stat). */
  process: z.object({ pid: z.int(), startTime: z.string() }),
  /** When that controller last said that it is at it. */
  heartbeatAt: z.string(),
  /** The last step that began. */
  step: z.string(),
  /** The steps that are done, in their order, and how long each took. */
  steps: z.array(z.object({ step: z.string(), tookMs: z.int() })).default([]),
  /** The release that it made, or made again; null before. */
  release: z.int().min(1).nullable(),
  /** Null while it is under way. */
  outcome: DeployOutcome.nullable(),
  endedAt: z.string().nullable(),
  tookMs: z.int().nullable(),
  /** Why it failed. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type DeployRecord = z.infer<typeof DeployRecord>;
