import { z } from "zod";

/** What `onStarted` receives when a one-off program is there. `run` names it to the calls that concern it. */
export const RunStarted = z.object({ run: z.string(), instance: z.string(), release: z.int(), pid: z.int() });
export type RunStarted = z.infer<typeof RunStarted>;

/** What `onOutput` receives of a one-off program: bytes in base64. A terminal has standard output alone. */
export const RunOutput = z.object({ stream: z.enum(["stdout", "stderr"]), bytes: z.string() });
export type RunOutput = z.infer<typeof RunOutput>;

/** How a one-off program ended: its exit code, or the signal that ended it; both null: nobody saw how. */
export const RunReport = z.object({
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  /** Why it was ended, where it did not end by itself. */
  reason: z.string().optional(),
});
export type RunReport = z.infer<typeof RunReport>;
