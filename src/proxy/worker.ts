/**
 * A proxy worker, a process of its own: carries the traffic on the listening sockets that it opened, or was handed
 * by another worker. It goes on with the routes that it was last given, whoever has asked it, and whether they live.
 */
import { rm, writeFile } from "node:fs/promises";
import { flushCompileCache } from "node:module";
import type { AddressInfo, Server } from "node:net";
import { findWires } from "../http/wires.ts";
import { serveChannel } from "../lib/channel.ts";
import { createLog } from "../lib/log.ts";
import { ownVersion } from "../lib/own-version.ts";
import { formatIdentity, ownIdentity } from "../lib/processes.ts";
import {
  type AppRoute,
  asksToBeTold,
  type DrainLimits,
  exchanges,
  processFileOf,
  protocolVersion,
  type RoutesChange,
  type WorkerReady,
  WorkerSettings,
} from "../protocol/worker.ts";
import { inheritSockets, type ListeningSocket, listenOn, receiveSockets } from "./listening.ts";
import { Plane } from "./plane.ts";
import { Siblings } from "./sibling.ts";

const defaultLimits: DrainLimits = { requestsMs: 30_000, streamsMs: 10_000 };
/** The controller sends the routes at once, unless it has died at this very moment. */
const firstRoutesMs = 10_000;

process.noDeprecation = true; // http-proxy calls `util._extend`; its version is pinned.
process.title = "maestro: proxy worker";
// Whoever reads the output may go away: EPIPE is no reason to end.
for (const output of [process.stdout, process.stderr]) output.on("error", () => {});
// A terminal's Ctrl-C reaches every process in it. What that means is the controller's business.
process.on("SIGINT", () => {});

try {
  await start(process.argv.slice(2));
  tell({ type: "ready", pid: process.pid });
  flushCompileCache();
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  tell({ type: "failed", message, ...(code === undefined ? {} : { code }) });
  process.exitCode = 1;
  process.disconnect?.();
}

async function start(args: readonly string[]): Promise<void> {
  const settings = WorkerSettings.parse(JSON.parse(args.at(-1) ?? "null"));
  const wires = await findWires();
  const plane = new Plane(settings, createLog(), wires);
  const routed = Promise.withResolvers<void>();
  let isRouted = false;
  const accept = ({ server, isIntroduced }: ListeningSocket) =>
    wires.accept(server, (open) => {
      if (isRouted) plane.accept(open, { isIntroduced });
      else void routed.promise.then(() => plane.accept(open, { isIntroduced }));
    });
  const route = (change: RoutesChange): void => {
    isRouted = true;
    plane.apply(change);
    routed.resolve();
  };
  const sockets = await openSockets(args, settings, accept, (routes) =>
    route({ replace: true, put: routes, remove: [] }),
  );
  const addresses = sockets.map(({ server }) => addressOf(server)); // A socket that has been closed, while leaving, has none any more.
  const siblings = new Siblings();
  let leaving = false;
  const leave = (limits: DrainLimits): void => {
    leaving = true;
    for (const { server } of sockets) server.close();
    void plane.leave(limits).then(() => end(channel, settings.control));
  };
  await writeFile(processFileOf(settings.control), formatIdentity(ownIdentity()), { mode: 0o600 });
  const channel = await serveChannel(settings.control, exchanges, {
    status: () => ({
      v: protocolVersion,
      pid: process.pid,
      addresses,
      version: ownVersion,
      settings,
      leaving,
      ...plane.status(),
    }),
    routes: (change) => {
      route(change);
      return {};
    },
    table: async () => {
      await siblings.settled();
      return { routes: plane.table() };
    },
    drain: ({ instance, ...limits }) => plane.drain(instance, limits),
    sibling: async ({ entry, settings }) => ({
      pid: await siblings.start(entry, settings, { sockets, routes: isRouted ? plane.table() : null }),
    }),
    leave: (limits) => {
      leave(limits);
      return {};
    },
  });
  process.on("SIGTERM", () => leave(defaultLimits));
  endUnless(routed.promise);
}

/** `--sockets COUNT`: a worker sends them. `--handed COUNT`: they came as descriptors, from a service manager. */
async function openSockets(
  args: readonly string[],
  { listen }: WorkerSettings,
  accept: (socket: ListeningSocket) => void,
  onRoutes: (routes: AppRoute[]) => void,
): Promise<ListeningSocket[]> {
  const count = Number(args[1]);
  if (args[0] === "--sockets") return receiveSockets(count, args.includes(asksToBeTold), accept, onRoutes);
  return listenOn(listen, accept, args[0] === "--handed" ? await inheritSockets(count) : []);
}

/** The first worker's come from the controller; until then there is nothing that could be answered, and connections wait. */
function endUnless(routed: Promise<void>): void {
  const timer = setTimeout(() => process.exit(1), firstRoutesMs);
  void routed.then(() => clearTimeout(timer));
}

async function end(channel: AsyncDisposable, control: string): Promise<void> {
  await channel[Symbol.asyncDispose]();
  await rm(processFileOf(control), { force: true });
  process.exit(0);
}

function addressOf(socket: Server): { host: string; port: number } {
  const { address, port } = socket.address() as AddressInfo;
  return { host: address, port };
}

/** Tells the process that forked this one, once; from then on they are strangers. */
function tell(message: WorkerReady): void {
  process.send?.(message, undefined, undefined, () => {
    if (process.connected) process.disconnect();
  });
}
