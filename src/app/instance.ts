import type { AppUser } from "./app.ts";
import { formatBytes, type Limits } from "./limits.ts";
import type { Readiness, Start } from "./release.ts";

export type InstanceState = "starting" | "serving" | "draining" | "frozen" | "stopping" | "stopped";

/** What happens to an instance, and what it then is. A pair that is not here cannot happen. */
const transitions = {
  starting: { ready: "serving", failed: "stopping", exited: "stopped" },
  serving: { replaced: "draining", exited: "stopped" },
  draining: { drained: "stopping", froze: "frozen", exited: "stopped" },
  frozen: { thawed: "starting", expired: "stopping", exited: "stopped" },
  stopping: { exited: "stopped" },
  stopped: {},
} as const satisfies Record<InstanceState, Partial<Record<InstanceEvent, InstanceState>>>;

export type InstanceEvent =
  | "ready"
  | "failed"
  | "replaced"
  | "drained"
  | "froze"
  | "thawed"
  | "expired"
  | "exited";

export function nextState(state: InstanceState, event: InstanceEvent): InstanceState {
  const next: InstanceState | undefined = (
    transitions[state] as Partial<Record<InstanceEvent, InstanceState>>
  )[event];
  if (next === undefined) throw new Error(`an instance that is ${state} cannot be ${event}`);
  return next;
}

/**
 * How a process ended: its exit code, or the signal that ended it. Both null: it ended and nobody saw how. `memory`: the
 * kernel killed it, or a part of it, for want of memory; bytes, null: not known.
 */
export type Exit = {
  code: number | null;
  signal: NodeJS.Signals | null;
  memory?: { limit: number | null; peak: number | null };
};

/** How a process ended, as the rest of a sentence. */
export function describeExit({ code, signal, memory }: Exit): string {
  if (memory) return `was killed for memory${describeMemory(memory)}`;
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? "ended" : `exited with code ${code}`;
}

function describeMemory({ limit, peak }: NonNullable<Exit["memory"]>): string {
  if (limit === null) return "";
  const most = peak === null ? "" : `, its peak was ${formatBytes(peak)}`;
  return ` (its limit is ${formatBytes(limit)}${most}; raise it with \`maestro limits\`)`;
}

/** All that is needed to start one instance. Paths are absolute. */
export type LaunchSpec = {
  app: string;
  /** Unique among all instances that ever ran here: "hello.web.1.m5x2k9". Names its directory under run/. */
  key: string;
  /** What people see: process type and ordinal, "web.1". */
  id: string;
  release: number;
  /** The directory of the release: the app's working directory. */
  directory: string;
  /** The Node that its release chose; absent: Maestro's own. */
  node?: string;
  start: Start;
  /** Null for process types that serve no traffic. */
  port: number | null;
  /** The app's own environment: config over app.json's defaults. Maestro's variables are added by launch. */
  env: Readonly<Record<string, string>>;
  user: AppUser | null;
  /** The app's directory that survives restarts; null when it has not asked for one. */
  storage: string | null;
  limits: Limits;
  /** Where its run files are kept: <home>/run/instances/KEY. */
  runDirectory: string;
  /** Files opened O_APPEND for its output. */
  output: { stdout: string; stderr: string };
};

/** An instance that has been started, by this controller or an earlier one. */
export type RunningInstance = {
  key: string;
  pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. With the pid it names a process for good. */
  startTime: string;
  /** Resolves once, when the process has ended. Never rejects. */
  exited: Promise<Exit>;
};

/** Where traffic for an instance goes. */
export type Address = { host: "127.0.0.1" | "::1"; port: number };

export type ReadyQuestion = {
  instance: RunningInstance;
  port: number;
  readiness: Readiness;
  /** The Host header of the check. */
  hostname: string;
  timeoutMs: number;
  user: AppUser | null;
};
