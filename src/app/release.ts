import { z } from "zod";
import { AppName } from "./app.ts";
import { LimitsChange } from "./limits.ts";
import { ProxySettings, usualCheckMs } from "./proxy-settings.ts";

/** How a process of an app is started. */
export const Start = z.discriminatedUnion("kind", [
  /** A line for the shell, from a Procfile or package.json's scripts. */
  z.object({ kind: z.literal("line"), line: z.string().min(1) }),
  /** A program for Node, relative to the release. */
  z.object({ kind: z.literal("node"), file: z.string().min(1) }),
  /** The form of 2012: `node apprunner.js --name NAME --port PORT`. */
  z.object({ kind: z.literal("apprunner") }),
  /** Static files, served by Maestro's own small server inside the app's sandbox. */
  z.object({
    kind: z.literal("static"),
    /** Relative to the release; absent: all of it. */
    directory: z.string().min(1).optional(),
  }),
]);
export type Start = z.infer<typeof Start>;

/**
 * When an instance counts as ready. `health`: the path answers 2xx or 3xx. `http`: it answers with a status below
 * 500. `port`: the port accepts a connection, no more (the form of 2012).
 */
export const Readiness = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("health"), path: z.string().startsWith("/") }),
  z.object({ kind: z.literal("http"), path: z.string().startsWith("/") }),
  z.object({ kind: z.literal("port") }),
]);
export type Readiness = z.infer<typeof Readiness>;

/** What a release says of itself: found in its files once, when it is made. */
export const ReleasePlan = z.object({
  /** Where the start lines come from, for people: "Procfile", "package.json scripts.start", "app.js", … */
  source: z.string(),
  processes: z.record(z.string(), Start),
  /** The version of Node that it was built with or asks for: "22.11.0"; absent: whichever Maestro itself has. */
  node: z.string().optional(),
  ready: Readiness,
  /** Defaults from app.json; the app's own config goes above them. */
  env: z.record(z.string(), z.string()),
  /** Instances by process type that app.json's `formation` asks for. */
  formation: z.record(z.string(), z.int().min(0)),
  /** False when app.json's `maestro.warm` says that its instances must not be kept frozen. */
  warm: z.boolean().optional(),
  /** Hostnames that app.json's `maestro.hostnames` asks for. */
  hostnames: z.array(z.string()),
  /** Those of them whose path prefix is taken off. */
  stripped: z.array(z.string()).optional(),
  /** Whether app.json's `maestro.storage` asks for a directory that survives restarts. */
  storage: z.boolean().default(false),
  /** What app.json's `maestro.limits` asks for. */
  limits: LimitsChange.default({}),
  /** What app.json's `maestro.proxy` asks for. */
  proxy: ProxySettings.optional(),
  /** What was read but is not acted on, in sentences for the person who deploys. */
  notes: z.array(z.string()),
});
export type ReleasePlan = z.infer<typeof ReleasePlan>;

/** Its instances show that they are well as they did when they were started. Asked while they serve by their health check. */
export function proxySettingsOf({ ready, proxy }: ReleasePlan): ProxySettings {
  if (ready.kind === "port") return { ...proxy };
  const isHealth = ready.kind === "health";
  const everyMs = proxy?.checkMs === undefined && isHealth ? usualCheckMs : proxy?.checkMs;
  const check = { path: ready.path, below: isHealth ? 400 : 500 };
  return { ...proxy, check: everyMs ? { ...check, everyMs } : check };
}

/** Of which deploy a release is. */
export const Origin = z.object({
  /** Who asked for it: "key alice", "an admin (unix)". */
  by: z.string(),
  deploy: z.string(),
  /** The commit that was deployed, where the caller named one. */
  commit: z.string().optional(),
});
export type Origin = z.infer<typeof Origin>;

/** An immutable release: state/releases/APP/vN.json; its files lie in apps/APP/releases/vN/. */
export const Release = z.object({
  v: z.literal(1),
  app: AppName,
  number: z.int().min(1),
  /** SHA-256 over the paths, modes and contents of all its files, in hex. */
  checksum: z.string(),
  /** The same over what was sent, where a build has added to that. */
  sent: z.string().optional(),
  /** What of runtimes/ it was built with and runs on: "node-v22.11.0", "npm-11.6.0". */
  runtimes: z.array(z.string()).optional(),
  files: z.int().min(0),
  bytes: z.int().min(0),
  /** ISO 8601. */
  createdAt: z.string(),
  plan: ReleasePlan,
  /** The version of the app's config that its instances get; absent: none. */
  config: z.int().min(1).nullable().optional(),
  /** Absent in a release of a Maestro that did not write it down. */
  origin: Origin.optional(),
});
export type Release = z.infer<typeof Release>;
