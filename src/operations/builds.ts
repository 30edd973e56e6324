import { z } from "zod";
import { AppName } from "../app/app.ts";
import { describePrincipal } from "../app/principal.ts";
import { BuildReport } from "../app/reports.ts";
import { cancelBuild, reportBuilds } from "../control/builds.ts";
import { operation } from "./operation.ts";

export const buildsOperation = operation({
  name: "builds",
  summary: "The builds and deploys that are under way, of one app or of all",
  access: "app",
  input: z.object({ app: AppName.optional() }),
  output: z.array(BuildReport),
  handle: async ({ controller }, { app }) => reportBuilds(controller, app),
});

export const buildsCancelOperation = operation({
  name: "builds_cancel",
  summary: "Ends a build or deploy that is under way; what served goes on",
  access: "app",
  input: z.object({
    id: z.string().max(64),
    /** Of which app it has to be: a key is for some. */
    app: AppName.optional(),
  }),
  output: BuildReport,
  handle: async ({ controller }, { id, app }, { principal }) =>
    cancelBuild(controller, { id, app, by: describePrincipal(principal) }),
});
