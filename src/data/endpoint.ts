/**
 * The endpoint of all apps to their databases, a process of its own: it sends what they ask to the local server while
 * that is well, and to a database's second home when it is not. It may be killed at any moment: which home serves is on
 * the disk.
 */
import { closeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Deadlines } from "../http/deadlines.ts";
import type { Transport } from "../http/pool.ts";
import { findWires } from "../http/wires.ts";
import { aborted } from "../lib/aborted.ts";
import { serveChannel } from "../lib/channel.ts";
import { keptReadyDescriptor } from "../lib/kept-exchanges.ts";
import { takeLock } from "../lib/lock-file.ts";
import { createLog } from "../lib/log.ts";
import { ownVersion } from "../lib/own-version.ts";
import { EndpointSettings, endpointExchanges } from "../protocol/data.ts";
import { Accounts } from "./accounts.ts";
import { Backend } from "./endpoint/backend.ts";
import { Events } from "./endpoint/events.ts";
import { Front } from "./endpoint/front.ts";
import { Health } from "./endpoint/health.ts";
import { Homes } from "./endpoint/homes.ts";
import { couchReplicator, embeddedReplicator } from "./endpoint/replication.ts";
import type { LocalServer } from "./endpoint/servers.ts";
import { readServerSecrets, type ServerSecrets } from "./secrets.ts";

process.title = "maestro: data endpoint";
process.on("SIGINT", () => {}); // A terminal's Ctrl-C is the controller's business.
await start(EndpointSettings.parse(JSON.parse(process.argv.at(-1) ?? "null")));
if (process.argv.includes("--tell")) closeSync(keptReadyDescriptor);

async function start(settings: EndpointSettings): Promise<void> {
  const lock = await takeLock(settings.lock);
  const log = createLog();
  const secrets = await readServerSecrets(join(settings.state, "secrets.json"));
  const transport = { wires: await findWires(), deadlines: new Deadlines() };
  const local = watchLocal(settings, secrets, transport);
  const accounts = new Accounts(join(settings.state, "apps"));
  const events = await Events.open(join(settings.state, "events.json"));
  const homes = new Homes({ accounts, local, transport, state: settings.state, events, log });
  await homes.reload();
  const front = await Front.listen(settings.listen, transport, {
    home: (app) => homes.get(app),
    entering: (authorization) => homes.entering(authorization),
    cookieKey: secrets.cookieKey,
  });
  const { address } = front;
  const leaving = new AbortController();
  const channel = await serveChannel(settings.control, endpointExchanges, {
    status: () => ({
      v: 1 as const,
      pid: process.pid,
      version: ownVersion,
      settings,
      address,
    }),
    leave: () => {
      leaving.abort();
      return {};
    },
    reload: async () => {
      await homes.reload();
      return {};
    },
    report: async ({ conflicts }) => ({
      local: homes.reportLocal(),
      databases: await homes.report(conflicts),
    }),
    events: ({ after }) => events.after(after),
  });
  process.on("SIGTERM", () => leaving.abort());
  void aborted(leaving.signal).then(async () => {
    const left = front.leave();
    homes.end();
    await left;
    local.health.end();
    await lock[Symbol.asyncDispose]();
    await channel[Symbol.asyncDispose]();
    process.exit(0);
  });
}

/** The embedded database behind its socket, or the CouchDB that an operator points to. */
function watchLocal(
  { local }: EndpointSettings,
  { admin, couch }: ServerSecrets,
  transport: Transport,
): LocalServer {
  const backend = new Backend(
    local.kind === "embedded" ? { socket: local.socket, ...admin } : { url: couch ?? "" },
    transport,
  );
  const probe = async (signal: AbortSignal) => {
    const { status, json } = await backend.ask("GET", "/_up", { signal });
    if (status !== 200) throw new Error(`answered ${status}`);
    return Up.parse(json).trouble ?? null;
  };
  return {
    backend,
    health: new Health({ probe, failures: 3, successes: 3, calmMs: 500, doubtMs: 100, patienceMs: 1000 }),
    replicator: local.kind === "embedded" ? embeddedReplicator(backend) : couchReplicator(backend),
  };
}

/** `trouble`: the embedded database's own. */
const Up = z.object({ trouble: z.string().optional() }).catch({});
