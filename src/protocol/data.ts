import { z } from "zod";
import { keptExchanges } from "../lib/kept-exchanges.ts";

/** How large things may become, in bytes. */
export const DataLimits = z.object({
  /** CouchDB's max_document_size. */
  document: z.int().default(8_000_000),
  attachment: z.int().default(64 * 1024 * 1024),
  body: z.int().default(128 * 1024 * 1024),
  /** The bodies of all requests that are being read. */
  bodiesTogether: z.int().default(256 * 1024 * 1024),
});
export type DataLimits = z.infer<typeof DataLimits>;

/** What the embedded database is started with: the last argument of its command line, as JSON. Nothing secret. */
export const ServerSettings = z.object({
  /** <home>/data */
  directory: z.string(),
  listen: z.union([z.object({ path: z.string() }), z.object({ host: z.string(), port: z.int().min(0) })]),
  /** The unix socket that it answers the controller on. */
  control: z.string(),
  /** The lock that it holds: LevelDB has one owner. */
  lock: z.string(),
  /** The file with what is secret, see src/data/secrets.ts. */
  secrets: z.string(),
  limits: DataLimits.prefault({}),
});
export type ServerSettings = z.infer<typeof ServerSettings>;

/** What the endpoint is started with. Nothing secret: that is in the files under `state`. */
export const EndpointSettings = z.object({
  /** <home>/state/data */
  state: z.string(),
  listen: z.object({ host: z.string(), port: z.int().min(0).max(65535) }),
  control: z.string(),
  lock: z.string(),
  /** The local server: the embedded database at its socket, or a CouchDB whose URL is among the secrets. */
  local: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("embedded"), socket: z.string() }),
    z.object({ kind: z.literal("couchdb") }),
  ]),
});
export type EndpointSettings = z.infer<typeof EndpointSettings>;

/** How a server is, as far as the endpoint can tell. `since`: ISO 8601. */
export const ServerReport = z.object({
  server: z.string(),
  isWell: z.boolean().nullable(),
  since: z.string(),
  error: z.string().nullable(),
});
export type LocalReport = z.infer<typeof ServerReport>;

/** A database is served from another home than before. `n` grows with each. */
export const DataEvent = z.object({
  n: z.int(),
  /** ISO 8601. */
  at: z.string(),
  app: z.string(),
  event: z.enum(["failed over", "came back"]),
  reason: z.string(),
});
export type DataEvent = z.infer<typeof DataEvent>;

export const DatabaseReport = z.object({
  app: z.string(),
  /** Where it is served from now. */
  side: z.enum(["local", "remote"]),
  remote: ServerReport.nullable(),
  /** Documents that both homes have changed, and of which both versions are kept; null: not known. */
  conflicts: z.number().nullable(),
  /** Why it does not come home, when it should. */
  error: z.string().nullable(),
  /** Failing over and coming back, the latest last. */
  events: z.array(DataEvent),
  directions: z.array(
    z.object({
      from: z.enum(["local", "remote"]),
      state: z.enum(["running", "idle", "failing", "stopped"]),
      behind: z.number().nullable(),
      secondsBehind: z.number(),
      through: z.string().nullable(),
      error: z.string().nullable(),
    }),
  ),
});
export type DatabaseReport = z.infer<typeof DatabaseReport>;

/** How the databases are. */
export const DataReport = z.object({ local: ServerReport, databases: z.array(DatabaseReport) });
export type DataReport = z.infer<typeof DataReport>;

export const endpointExchanges = {
  ...keptExchanges,
  /** Read the accounts anew. */
  reload: { ask: z.object({}), answer: z.object({}) },
  report: {
    /** To count conflicts, a database is looked through. */
    ask: z.object({ conflicts: z.boolean().default(false) }),
    answer: DataReport,
  },
  /** Failing over and coming back after an event; answered when there is something to tell. */
  events: { ask: z.object({ after: z.int() }), answer: z.array(DataEvent) },
} as const;
