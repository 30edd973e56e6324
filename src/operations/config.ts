import { z } from "zod";
import { AppName } from "../app/app.ts";
import { callerOf } from "../app/principal.ts";
import { ConfigChangeReport, ConfigReport } from "../app/reports.ts";
import { changeConfig, reportConfig } from "../control/change-config.ts";
import { operation } from "./operation.ts";

export const configOperation = operation({
  name: "config",
  summary: "The variables that an app was given, with their values",
  access: "app",
  input: z.object({ app: AppName }),
  output: ConfigReport,
  handle: async ({ controller }, { app }) => reportConfig(controller, app),
});

export const configSetOperation = operation({
  name: "config_set",
  summary: "Gives an app variables: a new release of the same code, put live like any",
  access: "app",
  input: z.object({
    app: AppName,
    set: z.record(z.string(), z.string()).refine((set) => Object.keys(set).length > 0, "names no variable"),
    wait: z.boolean().default(false),
  }),
  output: ConfigChangeReport,
  handle: async ({ controller }, { app, set, wait }, { principal, onProgress }) =>
    changeConfig(controller, { app, wait, ...callerOf(principal), onProgress }, { set, unset: [] }),
});

export const configUnsetOperation = operation({
  name: "config_unset",
  summary: "Takes variables away from an app: a new release of the same code, put live like any",
  access: "app",
  input: z.object({
    app: AppName,
    names: z.array(z.string()).min(1, "names no variable"),
    wait: z.boolean().default(false),
  }),
  output: ConfigChangeReport,
  handle: async ({ controller }, { app, names, wait }, { principal, onProgress }) =>
    changeConfig(
      controller,
      { app, wait, ...callerOf(principal), onProgress },
      { set: {}, unset: [...new Set(names)] },
    ),
});
