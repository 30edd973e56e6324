import { z } from "zod";
import { AppName } from "../app/app.ts";
import { LogLine } from "../app/reports.ts";
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
    /** With follow, the `cursor` of the last line that was seen of each log: goes on behind them, without earlier lines. */
    after: z
      .array(z.string().regex(/^[^/]{1,200}:\d{1,15}$/, "a cursor is what a line said of itself"))
      .max(1000)
      .optional(),
  }),
  output: z.object({ lines: z.array(LogLine) }),
  handle: async ({ controller }, { app, lines, follow, process: processType, after }, { onLine, signal }) => {
    controller.registry.get(app);
    const request = { app, lines, processType, ...(after ? { after } : {}) };
    if (!follow) return { lines: await controller.logs.recent(request) };
    if (!onLine) throw new MaestroError("BAD_INPUT", "to follow, logs needs a function onLine in its input");
    await controller.logs.follow(request, onLine, signal);
    return { lines: [] };
  },
});
