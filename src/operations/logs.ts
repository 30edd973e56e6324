import { z } from "zod";
import { AppName } from "../app/app.ts";
import { LogLine } from "../app/reports.ts";
import { followLines, recentLines } from "../control/logs.ts";
import { MaestroError } from "../errors.ts";
import { operation } from "./operation.ts";

export const logsOperation = operation({
  name: "logs",
  summary: "The last lines of an app's output; with follow, every line that comes, until the caller leaves",
  access: "app",
  input: z.object({
    app: AppName,
    lines: z.int().min(0).max(100_000).default(100),
    follow: z.boolean().default(false),
    process: z.string().optional(),
  }),
  output: z.object({ lines: z.array(LogLine) }),
  handle: async ({ controller }, { app, lines, follow, process: processType }, { onLine, signal }) => {
    controller.registry.get(app);
    const request = { app, lines, processType };
    if (!follow) return { lines: await recentLines(controller, request) };
    if (!onLine) throw new MaestroError("BAD_INPUT", "to follow, logs needs a function onLine in its input");
    await followLines(controller, request, onLine, signal);
    return { lines: [] };
  },
});
