import { z } from "zod";
import { AppName } from "../app/app.ts";
import { ReleasesReport } from "../app/reports.ts";
import { reportReleases } from "../control/report-releases.ts";
import { operation } from "./operation.ts";

export const releasesOperation = operation({
  name: "releases",
  summary: "The releases of an app that are kept, and its latest deploys with how each ended",
  access: "app",
  input: z.object({ app: AppName, deploys: z.int().min(0).max(1000).default(10) }),
  output: ReleasesReport,
  handle: async ({ controller }, { app, deploys }) => reportReleases(controller, app, deploys),
});
