import { z } from "zod";

/** What the controller and a process of the data room say to each other. */
export const dataExchanges = {
  status: {
    ask: z.object({}),
    answer: z.object({
      v: z.literal(1),
      pid: z.int(),
      version: z.string(),
      settings: z.unknown(),
      /** host:port, or the path of a unix socket. */
      address: z.string(),
    }),
  },
  /** Finish what is under way, then exit. Answered at once. */
  leave: { ask: z.object({}), answer: z.object({}) },
} as const;

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

/** Open in a process that is starting: who started it reads its end when it answers, or has ended. */
export const dataReadyDescriptor = 3;
