import { z } from "zod";
import { AppName } from "../app/app.ts";
import { callerOf } from "../app/principal.ts";
import { DeployReport, ReleasesReport } from "../app/reports.ts";
import { reportReleases } from "../control/report-releases.ts";
import { rollback } from "../control/rollback.ts";
import { operation } from "./operation.ts";

export const releasesOperation = operation({
  name: "releases",
  summary: "The releases of an app that are kept, and its latest deploys with how each ended",
  access: "app",
  input: z.object({ app: AppName, deploys: z.int().min(0).max(1000).default(10) }),
  output: ReleasesReport,
  handle: async ({ controller }, { app, deploys }) => reportReleases(controller, app, deploys),
});

export const rollbackOperation = operation({
  name: "rollback",
  summary: "Puts an earlier release of an app live again, with the config that it had",
  access: "app",
  input: z.object({
    app: AppName,
    /** The number of the release; absent: the one that served before. */
    to: z.int().min(1).optional(),
    wait: z.boolean().default(false),
  }),
  output: DeployReport,
  handle: async ({ controller }, { app, to, wait }, { principal, onProgress }) =>
    rollback(controller, { app, to, wait, ...callerOf(principal), onProgress }),
});
