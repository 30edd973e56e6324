/**
 * A proxy worker, a process of its own: carries the traffic on the listening sockets that it opened, or was handed
 * by another worker. It goes on with the routes that it was last given, whoever has asked it, and whether they live.
 */
import type { AddressInfo, Server } from "node:net";
import { serveChannel } from "../lib/channel.ts";
import { createLog } from "../lib/log.ts";
import {
  type DrainLimits,
  exchanges,
  protocolVersion,
  type WorkerReady,
  WorkerSettings,
} from "../protocol/worker.ts";
import { listenOn, onConnection, receiveSockets } from "./listening.ts";
import { Plane } from "./plane.ts";
import { startSibling } from "./sibling.ts";

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
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  tell({ type: "failed", message, ...(code === undefined ? {} : { code }) });
  process.exitCode = 1;
  process.disconnect?.();
}

async function start(args: readonly string[]): Promise<void> {
  const settings = WorkerSettings.parse(JSON.parse(args.at(-1) ?? "null"));
  const handed = args[0] === "--sockets" ? Number(args[1]) : null;
  const plane = new Plane(settings, createLog());
  const sockets = handed === null ? await listenOn(settings.listen) : await receiveSockets(handed);
  const routed = Promise.withResolvers<void>();
  onConnection(sockets, (socket) => void routed.promise.then(() => plane.accept(socket)));
  const leave = (limits: DrainLimits): void => {
    for (const socket of sockets) socket.close();
    void plane.leave(limits).then(() => end(channel));
  };
  const channel = await serveChannel(settings.control, exchanges, {
    status: () => ({
      v: protocolVersion,
      pid: process.pid,
      addresses: sockets.map(addressOf),
      ...plane.status(),
    }),
    routes: (change) => {
      plane.apply(change);
      routed.resolve();
      return {};
    },
    table: () => ({ routes: plane.table() }),
    drain: ({ instance, ...limits }) => plane.drain(instance, limits),
    sibling: async ({ entry, settings }) => ({ pid: await startSibling(entry, settings, sockets) }),
    leave: (limits) => {
      leave(limits);
      return {};
    },
  });
  process.on("SIGTERM", () => leave(defaultLimits));
  endUnless(routed.promise);
}

/** Without routes there is nothing that could be answered: connections wait until the first ones have come. */
function endUnless(routed: Promise<void>): void {
  const timer = setTimeout(() => process.exit(1), firstRoutesMs);
  void routed.then(() => clearTimeout(timer));
}

async function end(channel: AsyncDisposable): Promise<void> {
  await channel[Symbol.asyncDispose]();
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
