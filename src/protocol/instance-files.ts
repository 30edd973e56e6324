import { z } from "zod";
import { IsolationLevel } from "../app/isolation.ts";

/**
 * What the apprunner chain leaves in `run/instances/KEY/` for whichever controller looks. Every file is complete
 * or absent: written under a temporary name and renamed, or in one write(2) whose newline says that it is whole.
 */
export const instanceFiles = {
  /** JSON `InstanceRecord`, written by the controller before the start. */
  record: "instance.json",
  /** "PID STARTTIME\n", written by the shim. */
  process: "process",
  /** "STATUS\n" as a POSIX shell's `$?` (above 128: a signal), written by the shim when the process has ended. */
  exit: "exit",
  /** What bwrap(1) says of itself (--json-status-fd), where the app is in namespaces of its own. */
  sandbox: "sandbox",
  /** A FIFO that the shim holds open: its end is the end of the shim. */
  alive: "alive",
  /** There while the instance is frozen, or is about to be: until when, in ms since 1970. Written by the controller. */
  frozen: "frozen",
} as const;

export const InstanceRecord = z.object({
  v: z.literal(1),
  app: z.string(),
  key: z.string(),
  id: z.string(),
  release: z.int(),
  port: z.int().nullable(),
  /** /proc/sys/kernel/random/boot_id: a pid of another boot is nobody. */
  bootId: z.string(),
  /** How it is confined. An instance of an earlier version of Maestro is not. */
  level: IsolationLevel.default("process"),
  output: z.object({ stdout: z.string(), stderr: z.string() }),
});
export type InstanceRecord = z.infer<typeof InstanceRecord>;
