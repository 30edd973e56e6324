import { z } from "zod";

/** What a log keeper is started with: the last argument of its command line, as JSON. */
export const KeeperSettings = z.object({
  /** <home>/apps */
  apps: z.string(),
  /** The unix socket that it answers on. */
  control: z.string(),
  /** The lock that it holds: there is one keeper a home. */
  lock: z.string(),
  /** How large a part of a log may become, in bytes. */
  partBytes: z.int().min(4096),
  /** How many parts of a log are kept, the one that is written to included. */
  parts: z.int().min(2),
});
export type KeeperSettings = z.infer<typeof KeeperSettings>;
