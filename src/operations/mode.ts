import { z } from "zod";
import { AppName } from "../app/app.ts";
import { MaintenanceMessage, pauseS } from "../app/mode.ts";
import { ModeReport } from "../app/reports.ts";
import { beginMaintenance, endMaintenance, pause, resume } from "../control/mode.ts";
import { operation } from "./operation.ts";

export const pauseOperation = operation({
  name: "pause",
  summary: "Holds an app's new requests until it is resumed; those under way go on",
  access: "app",
  input: z.object({
    app: AppName,
    /** How long a request is held at most, s. */
    holdFor: z.int().min(1).max(pauseS.most).default(pauseS.usual),
  }),
  output: ModeReport,
  handle: ({ controller }, { app, holdFor }) => pause(controller, app, holdFor * 1000),
});

export const resumeOperation = operation({
  name: "resume",
  summary: "Lets an app's requests go on that a pause has held",
  access: "app",
  input: z.object({ app: AppName }),
  output: ModeReport,
  handle: ({ controller }, { app }) => resume(controller, app),
});

export const maintenanceOnOperation = operation({
  name: "maintenance_on",
  summary: "Answers an app's new requests with a page that says that it is being worked on",
  access: "app",
  input: z.object({ app: AppName, message: MaintenanceMessage.optional() }),
  output: ModeReport,
  handle: ({ controller }, { app, message }) => beginMaintenance(controller, app, message),
});

export const maintenanceOffOperation = operation({
  name: "maintenance_off",
  summary: "Gives an app its requests again after a maintenance",
  access: "app",
  input: z.object({ app: AppName }),
  output: ModeReport,
  handle: ({ controller }, { app }) => endMaintenance(controller, app),
});
