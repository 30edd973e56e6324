import { z } from "zod";
import { AppName, Hostname } from "../app/app.ts";
import { AppReport, InstanceReport, StatusReport } from "../app/reports.ts";
import { addHostname, removeHostname } from "../control/register.ts";
import { reportApps, reportInstances } from "../control/report.ts";
import { removeApp, stopApp } from "../control/stop.ts";
import { operation } from "./operation.ts";

export const appsOperation = operation({
  name: "apps",
  summary: "The apps that are registered, with their hostnames and how they are",
  access: "admin",
  input: z.object({}),
  output: z.array(AppReport),
  handle: async ({ controller }) => reportApps(controller),
});

export const psOperation = operation({
  name: "ps",
  summary: "The instances that run, of one app or of all",
  access: "app",
  input: z.object({ app: AppName.optional() }),
  output: z.array(InstanceReport),
  handle: async ({ controller }, { app }) =>
    reportInstances(controller, await controller.traffic.status(), app),
});

export const statusOperation = operation({
  name: "status",
  summary: "How the parts of Maestro are",
  access: "admin",
  input: z.object({}),
  output: StatusReport,
  handle: async ({ controller, process: { version, startedAt, http, rpc } }) => ({
    version,
    node: process.version,
    pid: process.pid,
    home: controller.config.home,
    startedAt,
    http,
    rpc,
    workers: (await controller.traffic.status()).map(({ pid, connections, requests, version, leaving }) => ({
      pid,
      connections,
      requests,
      version,
      leaving,
    })),
    isolation: controller.runner.isolation,
    databasesAway: controller.databases.away(),
    apps: reportApps(controller),
  }),
});

const HostnamesOfApp = z.object({ app: AppName, hostnames: z.array(z.string()) });

export const domainsOperation = operation({
  name: "domains",
  summary: "The hostnames that lead to an app",
  access: "app",
  input: z.object({ app: AppName }),
  output: HostnamesOfApp,
  handle: async ({ controller }, { app }) => ({
    app,
    hostnames: [...controller.hostnames(controller.registry.get(app))],
  }),
});

export const domainsAddOperation = operation({
  name: "domains_add",
  summary: "Makes a hostname lead to an app",
  access: "app",
  input: z.object({ app: AppName, hostname: Hostname }),
  output: HostnamesOfApp,
  handle: async ({ controller }, { app, hostname }) => ({
    app,
    hostnames: [...controller.hostnames(await addHostname(controller, app, hostname))],
  }),
});

export const domainsRemoveOperation = operation({
  name: "domains_remove",
  summary: "Takes a hostname away from an app",
  access: "app",
  input: z.object({ app: AppName, hostname: Hostname }),
  output: HostnamesOfApp,
  handle: async ({ controller }, { app, hostname }) => ({
    app,
    hostnames: [...controller.hostnames(await removeHostname(controller, app, hostname))],
  }),
});

export const removeOperation = operation({
  name: "remove",
  summary: "Stops and forgets an app, with its releases; its logs stay unless data is said",
  access: "app",
  input: z.object({ app: AppName, data: z.boolean().default(false) }),
  output: z.object({ app: AppName, removed: z.array(z.string()) }),
  handle: async ({ controller }, { app, data }) => ({
    app,
    removed: await removeApp(controller, app, { data }),
  }),
});

export const stopOperation = operation({
  name: "stop",
  summary: "Stops an app until its next restart, or all of Maestro with every app",
  access: "app",
  input: z.object({ app: AppName.optional() }),
  output: z.object({ stopped: z.array(z.string()) }),
  handle: async ({ controller, process: { end } }, { app }) => {
    if (app !== undefined) {
      await stopApp(controller, app);
      return { stopped: [app] };
    }
    end();
    return { stopped: controller.registry.all().map(({ name }) => name) };
  },
});
