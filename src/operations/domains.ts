import { z } from "zod";
import { type App, AppName } from "../app/app.ts";
import { Mount } from "../app/mount.ts";
import { callerOf } from "../app/principal.ts";
import type { Controller } from "../control/controller.ts";
import { addHostname, removeHostname } from "../control/register.ts";
import { operation } from "./operation.ts";

const HostnamesOfApp = z.object({
  app: AppName,
  /** With a path prefix behind those of which only that is the app's. */
  hostnames: z.array(z.string()),
  /** Those of them whose prefix the app does not see. */
  stripped: z.array(z.string()),
});

const report = (controller: Controller, app: App): z.infer<typeof HostnamesOfApp> => ({
  app: app.name,
  hostnames: [...controller.hostnames(app)],
  stripped: app.stripped,
});

export const domainsOperation = operation({
  name: "domains",
  summary: "The hostnames that lead to an app",
  access: "app",
  input: z.object({ app: AppName }),
  output: HostnamesOfApp,
  handle: async ({ controller }, { app }) => report(controller, controller.registry.get(app)),
});

export const domainsAddOperation = operation({
  name: "domains_add",
  summary: "Makes a hostname, or a path prefix of one, lead to an app",
  access: "app",
  input: z.object({ app: AppName, hostname: Mount, stripPrefix: z.boolean().default(false) }),
  output: HostnamesOfApp,
  handle: async ({ controller }, { app, hostname, stripPrefix }, { principal }) =>
    report(
      controller,
      await addHostname(controller, app, hostname, { ...callerOf(principal), strip: stripPrefix }),
    ),
});

export const domainsRemoveOperation = operation({
  name: "domains_remove",
  summary: "Takes a hostname, or a path prefix of one, away from an app",
  access: "app",
  input: z.object({ app: AppName, hostname: Mount }),
  output: HostnamesOfApp,
  handle: async ({ controller }, { app, hostname }) =>
    report(controller, await removeHostname(controller, app, hostname)),
});
