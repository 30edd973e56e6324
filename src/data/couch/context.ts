import type { Log } from "../../lib/log.ts";
import type { DataLimits as Limits } from "../../protocol/data.ts";
import type { Databases } from "./databases.ts";
import type { Exchange } from "./exchange.ts";
import type { Replications } from "./replications.ts";
import type { Users } from "./users.ts";

/** What all routes of a server share. */
export type Context = {
  databases: Databases;
  users: Users;
  replications: Replications;
  limits: Limits;
  /** Of this server, for good: clients tell servers apart by it. */
  uuid: string;
  log: Log;
};

export type Parameters = Readonly<Record<string, string | undefined>>;
export type Handler = (exchange: Exchange, context: Context, parameters: Parameters) => Promise<void>;

/** What a caller has to be: nobody in particular, somebody, the server's administrator; or one of a database's. */
export type Access = "anybody" | "user" | "server admin" | "member" | "database admin";
export type Route = { method: string; path: string; access: Access; handle: Handler };
