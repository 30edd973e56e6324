import { z } from "zod";
import { AppName } from "../app/app.ts";
import { AuditEntry } from "../app/key.ts";
import { operation } from "./operation.ts";

export const auditOperation = operation({
  name: "audit",
  summary: "Who did what, the latest last: every use of a key, and what administrators changed",
  access: "app",
  input: z.object({ app: AppName.optional(), entries: z.int().min(1).max(10_000).default(100) }),
  output: z.array(AuditEntry),
  handle: ({ access }, { app, entries }) => access.history(entries, app),
});
