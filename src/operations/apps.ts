import { z } from "zod";
import { AppName } from "../app/app.ts";
import { AppReport, InstanceReport, StatusReport } from "../app/reports.ts";
import { reportApps, reportInstances } from "../control/report.ts";
import { removeApp, stopApp } from "../control/stop.ts";
import { reportTraffic } from "../control/traffic.ts";
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
  handle: async ({ controller, process: { version, startedAt, http, rpc } }) => {
    const workers = await controller.traffic.status();
    return {
      version,
      node: process.version,
      pid: process.pid,
      home: controller.config.home,
      startedAt,
      http,
      rpc,
      workers: workers.map(({ pid, connections, requests, version, leaving, traffic }) => ({
        pid,
        connections,
        requests,
        version,
        leaving,
        traffic,
      })),
      isolation: controller.runner.isolation,
      databasesAway: controller.databases.away(),
      apps: reportApps(controller),
      traffic: reportTraffic(controller, workers).apps,
    };
  },
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
