import { z } from "zod";
import { Count } from "./app.ts";
import { DeployRecord } from "./deploy.ts";
import { Isolation, IsolationLevel } from "./isolation.ts";
import { Mode } from "./mode.ts";
import { AppTraffic, TrafficCounts } from "./traffic.ts";

/** What Maestro answers about itself and its apps: the outputs of the operations, and what `--json` prints. */

export const InstanceReport = z.object({
  app: z.string(),
  /** "web.1" */
  instance: z.string(),
  key: z.string(),
  release: z.int(),
  /** `running`: a one-off program, to which no traffic goes. */
  state: z.enum(["starting", "serving", "draining", "frozen", "stopping", "stopped", "running"]),
  port: z.int().nullable(),
  pid: z.int(),
  /** ISO 8601. */
  startedAt: z.string(),
  user: z.string(),
  /** How it is confined. */
  isolation: IsolationLevel,
  /** Bytes. Null: not counted on this machine, or not limited. */
  memory: z.object({ now: z.int().nullable(), limit: z.int().nullable() }),
  inFlight: z.object({ requests: z.int(), streams: z.int() }),
  /** How many proxy workers have taken it out: it failed several times in a row. */
  outAt: z.int().optional(),
  /** Of its app: new requests do not get here. */
  mode: z.enum(["paused", "maintenance"]).optional(),
});
export type InstanceReport = z.infer<typeof InstanceReport>;

/**
 * `serving`, `starting` (also while one that died is started again), `failing` (it keeps dying), `stopped`,
 * `empty` (registered, nothing deployed yet), `broken` (its registry file does not parse).
 */
export const AppState = z.enum(["serving", "starting", "failing", "stopped", "empty", "broken"]);

export const AppReport = z.object({
  app: z.string(),
  hostnames: z.array(z.string()),
  urls: z.array(z.string()),
  release: z.int().nullable(),
  state: AppState,
  /** New requests are not answered by the app, whatever its state. */
  mode: Mode.optional(),
  instances: z.int(),
  /** For `failing` and `broken`: what happened, and what to do. */
  problem: z.string().optional(),
  /** For `failing`: the last lines of its output. */
  lastWords: z.array(z.string()).optional(),
  /** The last of its instances that ended without being asked to, and how. `at`: ISO 8601, null: nobody saw it. */
  lastDeath: z
    .object({
      instance: z.string(),
      release: z.int(),
      at: z.string().nullable(),
      exitCode: z.int().nullable(),
      signal: z.string().nullable(),
      /** It was killed for want of memory. Bytes; null: not known. */
      memory: z.object({ limit: z.int().nullable(), peak: z.int().nullable() }).optional(),
    })
    .optional(),
});
export type AppReport = z.infer<typeof AppReport>;

export const ModeReport = z.object({ app: z.string(), mode: Mode.nullable() });
export type ModeReport = z.infer<typeof ModeReport>;

export const StatusReport = z.object({
  version: z.string(),
  node: z.string(),
  pid: z.int(),
  home: z.string(),
  startedAt: z.string(),
  http: z.array(z.string()),
  rpc: z.string(),
  workers: z.array(
    z.object({
      pid: z.int(),
      connections: z.int(),
      requests: z.int(),
      /** Maestro's version that it is of. */
      version: z.string().optional(),
      /** It accepts no more connections, and ends when those that it has do. */
      leaving: z.boolean().optional(),
      problem: z.string().optional(),
      /** By app. */
      traffic: z.record(z.string(), TrafficCounts).optional(),
    }),
  ),
  isolation: Isolation,
  /** The databases that are served from their second home. */
  databasesAway: z.array(z.object({ app: z.string(), since: z.string(), reason: z.string() })).optional(),
  apps: z.array(AppReport),
  /** All workers together. */
  traffic: z.array(AppTraffic).optional(),
});
export type StatusReport = z.infer<typeof StatusReport>;

export const DeployReport = z.object({
  app: z.string(),
  hostnames: z.array(z.string()),
  release: z.int(),
  instances: z.array(z.object({ id: z.string(), port: z.int().nullable(), pid: z.int() })),
  tookMs: z.int(),
  urls: z.array(z.string()),
  /** What was read in the app's files but is not acted on. */
  notes: z.array(z.string()),
});
export type DeployReport = z.infer<typeof DeployReport>;

/** `config`: its version; null while there is none. */
export const ConfigReport = z.object({
  app: z.string(),
  config: z.int().nullable(),
  /** By name. Secrets: shown to whoever asked, and kept nowhere. */
  values: z.record(z.string(), z.string()),
});
export type ConfigReport = z.infer<typeof ConfigReport>;

export const ConfigChangeReport = z.object({
  app: z.string(),
  config: z.int().nullable(),
  /** The names of the variables whose value is another one now, or that are no more. */
  changed: z.array(z.string()),
  /** Null when nothing was restarted: nothing changed, or nothing of the app serves. */
  deploy: DeployReport.nullable(),
});
export type ConfigChangeReport = z.infer<typeof ConfigChangeReport>;

export const ScaleReport = z.object({
  app: z.string(),
  processes: z.array(
    z.object({
      /** "web" */
      process: z.string(),
      wanted: z.int(),
      serving: z.int(),
      /** What it was set to by `scale`; null: what the app's formation says, else one. */
      setting: Count.nullable(),
    }),
  ),
});
export type ScaleReport = z.infer<typeof ScaleReport>;

export const ReleasesReport = z.object({
  app: z.string(),
  /** The latest first. */
  releases: z.array(
    z.object({
      release: z.int(),
      /** `current` serves; `kept`: it has served, and retention keeps it. */
      state: z.enum(["current", "previous", "kept"]),
      /** ISO 8601. */
      createdAt: z.string().optional(),
      /** Instances of it are kept frozen: to go back to it takes no start. */
      warm: z.boolean().optional(),
      /** Who deployed it. */
      by: z.string().optional(),
      commit: z.string().optional(),
      /** The version of the app's config that it has. */
      config: z.int().optional(),
      /** SHA-256 over the paths, modes and contents of its files, in hex. */
      checksum: z.string().optional(),
      /** The steps of the deploy that made it, as long as the history has that. */
      steps: z.array(z.object({ step: z.string(), tookMs: z.int() })).optional(),
      /** Where its start lines come from. */
      source: z.string().optional(),
      files: z.int().optional(),
      bytes: z.int().optional(),
      /** What is wrong with one that cannot be used. */
      problem: z.string().optional(),
    }),
  ),
  /** What was done, the latest first. */
  deploys: z.array(DeployRecord.omit({ v: true, app: true, process: true })),
});
export type ReleasesReport = z.infer<typeof ReleasesReport>;

/** A reload that is about to happen: the workers are replaced, the controller becomes the new version next. */
export const ReloadReport = z.object({
  from: z.string(),
  to: z.string(),
  /** Of the controller: it stays. */
  pid: z.int(),
  /** Of the controller that is replaced, ISO 8601: `status` of the next one tells another time. */
  startedAt: z.string(),
  workers: z.int(),
  instances: z.int(),
});
export type ReloadReport = z.infer<typeof ReloadReport>;

/**
 * What `onProgress` receives while a deploy goes on. `tookMs` is there when the step has ended; `output`: `detail` is a
 * line of the output of what goes on in it. A build begins with each thing that it does, which `detail` names; it is a
 * part of the step `release`.
 */
export const DeployProgress = z.object({
  step: z.enum(["check", "release", "build", "prepare", "start", "ready", "switch", "drain", "stop"]),
  state: z.enum(["began", "done", "output"]),
  detail: z.string().optional(),
  tookMs: z.int().optional(),
});
export type DeployProgress = z.infer<typeof DeployProgress>;

/** A build or another deploy that is under way. */
export const BuildReport = z.object({
  /** The id of the deploy. */
  id: z.string(),
  app: z.string(),
  what: DeployRecord.shape.what,
  by: z.string(),
  /** ISO 8601. */
  since: z.string(),
  /** What it is at; `waiting`: another deploy of the app comes first. */
  step: z.string(),
  /** What of that is being done: "Building: npm run build". */
  detail: z.string().optional(),
});
export type BuildReport = z.infer<typeof BuildReport>;

export const LogLine = z.object({
  instance: z.string(),
  release: z.int(),
  stream: z.enum(["stdout", "stderr"]),
  text: z.string(),
  /** ISO 8601, when the line was there; absent when nobody saw that. */
  at: z.string().optional(),
  /** Names this line: `logs` with `follow` goes on behind it, given it in `after`. */
  cursor: z.string().optional(),
});
export type LogLine = z.infer<typeof LogLine>;

export const DoctorCheck = z.object({
  name: z.string(),
  found: z.boolean(),
  /** What was found, or what is missing. */
  detail: z.string(),
  /** What its absence costs, and how to get it. */
  advice: z.string().optional(),
});
export type DoctorCheck = z.infer<typeof DoctorCheck>;
