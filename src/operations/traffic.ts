import { z } from "zod";
import { AppName } from "../app/app.ts";
import { TrafficReport } from "../app/traffic.ts";
import { reportTraffic } from "../control/traffic.ts";
import { operation } from "./operation.ts";

export const trafficOperation = operation({
  name: "traffic",
  summary: "What the proxy has done for each app, or for one, since its workers started",
  access: "app",
  input: z.object({ app: AppName.optional() }),
  output: TrafficReport,
  handle: async ({ controller }, { app }) =>
    reportTraffic(controller, await controller.traffic.status(), app),
});
