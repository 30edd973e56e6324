import { z } from "zod";
import { WorkerSettings } from "./worker.ts";

/**
 * What `maestro serve --check --json` prints: the version that is installed says to the one that runs that it could take
 * over here, and which workers it wants. Unknown fields are ignored, because two versions talk.
 */
export const CheckReport = z.object({
  version: z.string(),
  /** process.version of the Node that it runs on. */
  node: z.string(),
  home: z.string(),
  apps: z.int(),
  /** Instances and workers that run now, and that it would take over. */
  instances: z.int(),
  workers: z.object({
    running: z.int(),
    entry: z.string(),
    version: z.string(),
    settings: WorkerSettings.omit({ control: true }),
    count: z.int().min(1),
  }),
});
export type CheckReport = z.infer<typeof CheckReport>;
