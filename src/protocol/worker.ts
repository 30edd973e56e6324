import { z } from "zod";
import { Mode } from "../app/mode.ts";
import { ProxySettings } from "../app/proxy-settings.ts";
import { TrafficCounts } from "../app/traffic.ts";

/**
 * What the controller and a proxy worker say to each other, as lines of JSON on the worker's unix socket
 * (`run/workers/ID.sock`). The controller asks, each question with an id; the worker answers each once.
 * Unknown fields are ignored, because after a reload two versions talk.
 */
export const protocolVersion = 1;

const instanceKey = z.string();

export const Upstream = z.object({
  instance: instanceKey,
  host: z.string(),
  port: z.int().min(1).max(65535),
});
export type Upstream = z.infer<typeof Upstream>;

/**
 * Where one app's traffic goes. `serving`: to the upstreams. `starting`: there is none yet, hold requests for a
 * moment. `away`: there is none and none is coming, answer 503.
 */
export const AppRoute = z.object({
  app: z.string(),
  /** A path prefix stands behind a hostname of which only that is the app's: "example.com/payments". */
  hostnames: z.array(z.string()),
  /** Those of them whose prefix is taken off the path before the app sees it. */
  stripped: z.array(z.string()).optional(),
  state: z.enum(["serving", "starting", "away"]),
  upstreams: z.array(Upstream),
  /** New requests are not answered by the app, whatever its state. */
  mode: Mode.optional(),
  settings: ProxySettings.optional(),
});
export type AppRoute = z.infer<typeof AppRoute>;

/** Applied as one: no request sees a part of it. `replace` forgets all routes first. */
export const RoutesChange = z.object({
  replace: z.boolean().default(false),
  put: z.array(AppRoute),
  remove: z.array(z.string()),
});
export type RoutesChange = z.infer<typeof RoutesChange>;

/** How long what is under way at a replaced instance may go on, in ms: requests, and WebSockets and event streams. */
export const DrainLimits = z.object({ requestsMs: z.int().min(0), streamsMs: z.int().min(0) });
export type DrainLimits = z.infer<typeof DrainLimits>;

/** How much is under way at an instance. */
export const InFlight = z.object({ requests: z.int(), streams: z.int() });
export type InFlight = z.infer<typeof InFlight>;

/** What a worker is started with: the last argument of its command line, as JSON. No secrets: it shows in `ps`. */
export const WorkerSettings = z.object({
  /** The unix socket that it answers on. */
  control: z.string(),
  /** Where the first worker listens; a sibling is handed the sockets instead. Port 0 takes a free one. */
  listen: z.array(
    z.object({
      host: z.string().optional(),
      port: z.int(),
      /** Whoever connects there introduces its client in the PROXY protocol. */
      proxyProtocol: z.boolean().optional(),
    }),
  ),
  /** How long a request waits for an app that is starting, ms. */
  holdMs: z.int().min(0),
  /** How long an upstream may take until its response head is there, ms. Upgrades and streams have none after it. */
  answerMs: z.int().min(1),
  /** Addresses or CIDR ranges whose X-Forwarded-* are believed. */
  trustedProxies: z.array(z.string()),
  /** How many connections of clients it takes. */
  maxConnections: z.int().min(1).optional(),
  accessLog: z.boolean(),
});
export type WorkerSettings = z.infer<typeof WorkerSettings>;

export const WorkerStatus = z.object({
  v: z.int(),
  pid: z.int(),
  addresses: z.array(z.object({ host: z.string(), port: z.int() })),
  connections: z.int(),
  requests: z.int(),
  /** By instance key. */
  inFlight: z.record(z.string(), InFlight),
  /** Instances that have failed several times in a row, and get no requests while others can take them. */
  out: z.array(instanceKey).default([]),
  /** By app: what it has done since it started. */
  traffic: z.record(z.string(), TrafficCounts).default({}),
  /** Maestro's version that it is of, and what it was started with: a controller of another version may want others. */
  version: z.string().default(""),
  settings: WorkerSettings.partial().default({}),
  /** It accepts no more, and only finishes what it has. */
  leaving: z.boolean().default(false),
});
export type WorkerStatus = z.infer<typeof WorkerStatus>;

/** Beside a worker's socket, "PID STARTTIME\n": by it, one that does not answer can be ended. */
export const processFileOf = (control: string): string => control.replace(/\.sock$/, ".process");

/** How long a sibling may take until it is ready, ms. */
export const siblingMs = 20_000;

/** Every question and its answer. */
export const exchanges = {
  /** Pid, addresses, counts. */
  status: { ask: z.object({}), answer: WorkerStatus },
  /** Answered when the change is in force for every request that comes after. */
  routes: { ask: RoutesChange, answer: z.object({}) },
  /** The routes in force; answered when each sibling that was asked for is there, so that whoever takes over finds it. */
  table: { ask: z.object({}), answer: z.object({ routes: z.array(AppRoute) }) },
  /** Answered when nothing is under way at the instance, or the limits have passed; with what is left. */
  drain: { ask: DrainLimits.extend({ instance: instanceKey }), answer: InFlight },
  /** Starts another worker from the program at `entry`, on the same listening sockets. Answered when it is ready. */
  sibling: {
    ask: z.object({ entry: z.string(), settings: z.unknown() }),
    answer: z.object({ pid: z.int() }),
  },
  /** Stop accepting, finish what is under way within the limits, then exit. Answered at once. */
  leave: { ask: DrainLimits, answer: z.object({}) },
} as const;
export type ExchangeName = keyof typeof exchanges;

/**
 * The word of a sibling's command line by which its elder asks to be told when it may send sockets. They accept from the
 * moment on in which they come: before there is somebody who takes the connections, these would be lost.
 */
export const asksToBeTold = "--tell-when";
/** The answer, over the IPC channel. A sibling of an earlier version gives none. */
export const takesSockets = "takes sockets";

/** What a worker tells the process that forked it over the IPC channel, once, before it disconnects. */
export const WorkerReady = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready"), pid: z.int() }),
  z.object({ type: z.literal("failed"), message: z.string(), code: z.string().optional() }),
]);
export type WorkerReady = z.infer<typeof WorkerReady>;
