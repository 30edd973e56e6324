import { z } from "zod";
import { AppName } from "../app/app.ts";
import { MaestroError } from "../errors.ts";
import { DataReport } from "../protocol/data.ts";
import { operation } from "./operation.ts";

export const dataStatusOperation = operation({
  name: "data_status",
  summary: "How the databases of apps are: where they are served from, and how far replication is",
  access: "app",
  input: z.object({ app: AppName.optional() }),
  output: DataReport,
  handle: async ({ controller }, { app }) => {
    if (app !== undefined) controller.registry.get(app);
    return controller.databases.report(app);
  },
});

export const dataReplicateOperation = operation({
  name: "data_replicate",
  summary:
    "Gives the database of an app, or those of all, a second home on another server; null takes it away",
  access: "admin",
  input: z.object({ app: AppName.optional(), to: z.string().min(1).max(4096).nullable() }),
  output: z.object({ apps: z.array(AppName) }),
  handle: async ({ controller }, { app, to }) => {
    if (app !== undefined) controller.registry.get(app);
    return { apps: await controller.databases.replicate(app, to) };
  },
});

export const dataAccessOperation = operation({
  name: "data_access",
  summary:
    "The URL of an app's database with its credentials, as the app finds it; on the server's own machine",
  access: "app",
  input: z.object({ app: AppName }),
  output: z.object({ url: z.string() }),
  handle: async ({ controller }, { app }) => {
    controller.registry.get(app);
    const url = await controller.databases.urlOf(app);
    if (url !== null) return { url };
    throw new MaestroError("BAD_INPUT", "Maestro runs without databases (--couch none)", { app });
  },
});
