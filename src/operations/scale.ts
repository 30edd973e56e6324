import { z } from "zod";
import { AppName, Count } from "../app/app.ts";
import { callerOf } from "../app/principal.ts";
import { ScaleReport } from "../app/reports.ts";
import { reportScale, scale } from "../control/scale.ts";
import { operation } from "./operation.ts";

export const scaleOperation = operation({
  name: "scale",
  summary: "How many processes of each type an app has; with counts, changes that",
  access: "app",
  input: z.object({
    app: AppName,
    counts: z.record(z.string(), Count).default({}),
    wait: z.boolean().default(false),
  }),
  output: ScaleReport,
  handle: async ({ controller }, { app, counts, wait }, { principal, onProgress }) =>
    Object.keys(counts).length === 0
      ? reportScale(controller, app)
      : scale(controller, { app, wait, ...callerOf(principal), onProgress }, counts),
});
