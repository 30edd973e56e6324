/**
 * The embedded database, a process of its own: PouchDB over LevelDB behind CouchDB's API. It may be killed at any
 * moment: what it has acknowledged is on the disk.
 */
import { once } from "node:events";
import { closeSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { aborted } from "../lib/aborted.ts";
import { serveChannel } from "../lib/channel.ts";
import { keptExchanges, keptReadyDescriptor } from "../lib/kept-exchanges.ts";
import { takeLock } from "../lib/lock-file.ts";
import { createLog } from "../lib/log.ts";
import { ownVersion } from "../lib/own-version.ts";
import { ServerSettings } from "../protocol/data.ts";
import type { Context } from "./couch/context.ts";
import { Databases } from "./couch/databases.ts";
import { createCouchServer } from "./couch/http-server.ts";
import { Replications } from "./couch/replications.ts";
import { Users, usersDatabase } from "./couch/users.ts";
import { readServerSecrets } from "./secrets.ts";

/** How long requests may go on once it is told to leave, ms. */
const leaveMs = 3000;

process.title = "maestro: data server";
process.on("SIGINT", () => {}); // A terminal's Ctrl-C is the controller's business.
await start(ServerSettings.parse(JSON.parse(process.argv.at(-1) ?? "null")));
if (process.argv.includes("--tell")) closeSync(keptReadyDescriptor);

async function start(settings: ServerSettings): Promise<void> {
  const lock = await takeLock(settings.lock);
  const log = createLog();
  const secrets = await readServerSecrets(settings.secrets);
  const databases = await Databases.at(settings.directory);
  if (!(await databases.names()).includes(usersDatabase)) await databases.create(usersDatabase);
  const users = new Users(databases, secrets.admin, secrets.cookieKey);
  const replications = new Replications(databases, log);
  const context: Context = {
    databases,
    users,
    replications,
    limits: settings.limits,
    uuid: secrets.uuid,
    log,
  };
  const server = createCouchServer(context);
  const address = await listen(server, settings.listen);
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  const channel = await serveChannel(settings.control, keptExchanges, {
    status: () => ({ v: 1 as const, pid: process.pid, version: ownVersion, settings, address }),
    leave: () => {
      leave();
      return {};
    },
  });
  process.on("SIGTERM", leave);
  void aborted(leaving.signal).then(async () => {
    replications.close();
    const closed = close(server);
    await databases.endFeeds();
    await closed;
    await databases.close();
    // Whoever waits for the end of the channel may start another one then.
    await lock[Symbol.asyncDispose]();
    await channel[Symbol.asyncDispose]();
    process.exit(0);
  });
}

async function listen(server: Server, where: ServerSettings["listen"]): Promise<string> {
  if ("path" in where) await rm(where.path, { force: true }); // Whoever had it held the lock, and is gone.
  server.listen(where);
  await once(server, "listening");
  if ("path" in where) {
    await chmod(where.path, 0o600);
    return where.path;
  }
  const { address, port } = server.address() as AddressInfo;
  return `${address}:${port}`;
}

/** No new requests; those under way have a moment. */
async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), leaveMs);
  await closed;
  clearTimeout(late);
}
