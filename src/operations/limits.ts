import { z } from "zod";
import { AppName } from "../app/app.ts";
import { Limits, LimitsInput } from "../app/limits.ts";
import { limitsOf, setLimits } from "../control/limits.ts";
import { operation } from "./operation.ts";

export const limitsOperation = operation({
  name: "limits",
  summary: "What each instance of an app may use; with limits, sets them",
  access: "app",
  input: z.object({ app: AppName, limits: LimitsInput.optional() }),
  output: z.object({
    app: AppName,
    limits: Limits,
    /** Why what this machine cannot limit is not limited, in sentences. */
    notes: z.array(z.string()),
  }),
  handle: async ({ controller }, { app, limits: change }) => ({
    app,
    limits: change ? await setLimits(controller, app, change) : await limitsOf(controller, app),
    notes: [...controller.runner.unlimited],
  }),
});
