import { z } from "zod";
import { ReloadReport } from "../app/reports.ts";
import { operation } from "./operation.ts";

export const reloadOperation = operation({
  name: "reload",
  summary: "Replaces the running Maestro by the installed version, dropping nothing",
  access: "admin",
  input: z.object({}),
  output: ReloadReport,
  handle: async ({ process: { reload } }) => reload(),
});
