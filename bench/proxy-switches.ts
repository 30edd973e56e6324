/**
 * What a switch of routes costs, and whom: `node bench/proxy-switches.ts [SWITCHES]`.
 *
 * Two workers on one port. The routes of other apps are switched, one after another, first while nothing else happens,
 * then while one app is under load and WebSockets are open. A switch is timed from the question to the confirmation by
 * both workers. No request may fail, and no WebSocket may be cut.
 */
import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import getPort from "get-port";
import { WebSocket, WebSocketServer } from "ws";
import { type Channel, connectChannel } from "../src/lib/channel.ts";
import { type AppRoute, exchanges, type WorkerSettings } from "../src/protocol/worker.ts";
import type { LoadResult } from "./support/http-load.ts";
import { machine, quantile, table } from "./support/table.ts";

type Control = Channel<typeof exchanges>;

const switches = Number(process.argv[2] ?? 100);
const openSockets = 20;
const otherApps = 50;
const loadSeconds = 5;
const entry = join(import.meta.dirname, "../src/proxy/worker.ts");
const run = promisify(execFile);

async function startWorkers(directory: string, port: number): Promise<Control[]> {
  const settings: WorkerSettings = {
    control: join(directory, "1.sock"),
    listen: [{ host: "127.0.0.1", port }],
    holdMs: 1000,
    answerMs: 10_000,
    trustedProxies: [],
    accessLog: false,
  };
  await once(fork(entry, [JSON.stringify(settings)], { detached: true }), "message");
  const first = await connectChannel(settings.control, exchanges);
  await first.ask("routes", { put: [], remove: [] });
  const control = join(directory, "2.sock");
  await first.ask("sibling", { entry, settings: { ...settings, control } });
  return [first, await connectChannel(control, exchanges)];
}

function routeTo(app: string, instance: string, port: number): AppRoute {
  return {
    app,
    hostnames: [`${app}.test`],
    state: "serving",
    upstreams: [{ instance, host: "127.0.0.1", port }],
  };
}

/** Puts each of the other apps on another instance, in turn; returns how long each switch took, ms. */
async function switchRoutes(workers: readonly Control[], port: number, count: number): Promise<number[]> {
  const tookMs: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const app = `other${turn % otherApps}`;
    const put = [routeTo(app, `${app}.${turn}`, port)];
    const began = performance.now();
    await Promise.all(workers.map((worker) => worker.ask("routes", { put, remove: [] })));
    tookMs.push(performance.now() - began);
  }
  return tookMs;
}

const directory = await mkdtemp(join(tmpdir(), "maestro-bench-"));
const port = await getPort();
const app = createServer((_request, response) => response.end("hello\n"));
const sockets = new WebSocketServer({ server: app });
sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(String(data))));
await once(app.listen(0, "127.0.0.1"), "listening");
const appPort = (app.address() as AddressInfo).port;
const workers = await startWorkers(directory, port);
try {
  for (const worker of workers)
    await worker.ask("routes", { put: [routeTo("bench", "bench.1", appPort)], remove: [] });
  console.log(`${switches} switches of other apps' routes, two workers\n${machine()}\n`);
  await switchRoutes(workers, appPort, otherApps);
  const idle = await switchRoutes(workers, appPort, switches);

  let cut = 0;
  const clients: WebSocket[] = [];
  for (let count = 0; count < openSockets; count += 1) {
    const client = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: "bench.test" } });
    await once(client, "open");
    client.on("close", () => {
      cut += 1;
    });
    clients.push(client);
  }
  const load = { port, path: "/small", connections: 32, seconds: loadSeconds };
  const program = join(import.meta.dirname, "support/http-load.ts");
  const loading = run(process.execPath, [program, JSON.stringify(load)]);
  const busy: number[] = [];
  let isLoading = true;
  const loaded = loading.finally(() => {
    isLoading = false;
  });
  while (isLoading || busy.length < switches) busy.push(...(await switchRoutes(workers, appPort, 10)));
  const { requests, failures } = JSON.parse((await loaded).stdout) as LoadResult;
  for (const client of clients) {
    const answered = once(client, "message", { signal: AbortSignal.timeout(5000) });
    client.send("still here?");
    await answered;
  }
  const row = (name: string, took: readonly number[]) => [
    name,
    String(took.length),
    ...[0.5, 0.99, 1].map((share) => quantile(took, share).toFixed(2)),
  ];
  console.log(
    table(["", "switches", "p50 ms", "p99 ms", "most ms"], [row("idle", idle), row("under load", busy)]),
  );
  console.log(`\nof ${requests} requests failed: ${failures}; of ${openSockets} WebSockets cut: ${cut}`);
  for (const client of clients) client.terminate();
} finally {
  await Promise.all(
    workers.map(async (worker) => {
      await worker.ask("leave", { requestsMs: 0, streamsMs: 0 });
      await worker.closed;
    }),
  );
  app.close();
  app.closeAllConnections();
  await rm(directory, { recursive: true, force: true });
  process.exit();
}
