/**
 * The database: straight, and through the endpoint; how far replication is behind; memory: `npm run bench:data`.
 * With COUCH_URL (http://admin:password@host:port) a CouchDB is measured beside it. With `ROUNDS=20` the failover story is
 * told so often instead.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { basic, TestDatabase } from "../test/support/data.ts";
import { TestEndpoint } from "../test/support/data-endpoint.ts";
import { failoverStory } from "../test/support/failover-story.ts";
import { type DataServer, timed } from "./support/data-server.ts";
import { addedToRead } from "./support/in-between.ts";
import { machine, median, quantile, table } from "./support/table.ts";

type Load = {
  count: number;
  connections: number;
  once(server: DataServer, n: number): Promise<number>;
  documents: number;
};
const text = "x".repeat(300);
const document = (n: number) => JSON.stringify({ n, text });

const loads: Record<string, Load> = {
  "write, one at a time": {
    count: 500,
    connections: 1,
    documents: 1,
    once: (server, n) => timed(server, "PUT", `/one-${n}`, document(n)),
  },
  "write, 16 at a time": {
    count: 2000,
    connections: 16,
    documents: 1,
    once: (server, n) => timed(server, "PUT", `/many-${n}`, document(n)),
  },
  "read, one at a time": {
    count: 1000,
    connections: 1,
    documents: 1,
    once: (server, n) => timed(server, "GET", `/one-${n % 500}`),
  },
  "read, 16 at a time": {
    count: 3000,
    connections: 16,
    documents: 1,
    once: (server, n) => timed(server, "GET", `/one-${n % 500}`),
  },
  "bulk of 100": {
    count: 40,
    connections: 1,
    documents: 100,
    once: (server, n) => {
      const docs = Array.from({ length: 100 }, (_, index) => ({ _id: `bulk-${n}-${index}`, n, text }));
      return timed(server, "POST", "/_bulk_docs", JSON.stringify({ docs }));
    },
  },
};

type Result = { perSecond: number; medianMs: number; tailMs: number };

async function run(server: DataServer, { count, connections, documents, once }: Load): Promise<Result> {
  const times: number[] = [];
  let next = 0;
  const began = performance.now();
  const worker = async () => {
    while (next < count) {
      next += 1;
      times.push(await once(server, next - 1));
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  const seconds = (performance.now() - began) / 1000;
  return { perSecond: (count * documents) / seconds, medianMs: median(times), tailMs: quantile(times, 0.99) };
}

/** From the acknowledgement of a write to the moment at which the other home's feed shows it, ms. */
async function replicationDelays(
  endpoint: TestEndpoint,
  through: DataServer,
  count: number,
): Promise<number[]> {
  const delays: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const since = (await endpoint.remote.ask("GET", `/${through.database}`)).json().update_seq;
    const shown = endpoint.remote.ask("GET", `/${through.database}/_changes?feed=longpoll&since=${since}`);
    await timed(through, "PUT", `/delay-${n}`, document(n));
    const acknowledged = performance.now();
    await shown;
    delays.push(performance.now() - acknowledged);
  }
  return delays;
}

function memoryOf(pid: number): string {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)?.[1]) / 1024;
  return `${figure("Rss").toFixed(0)} (${figure("Pss").toFixed(0)} its share)`;
}

async function overCouch(url: string): Promise<DataServer> {
  const { hostname, port, username, password } = new URL(url);
  const authorization = basic(decodeURIComponent(username), decodeURIComponent(password));
  const server = {
    name: "CouchDB",
    at: { host: hostname, port: Number(port) },
    authorization,
    database: `bench-${randomUUID()}`,
  };
  await timed(server, "PUT", "");
  return server;
}

/** Told by itself: the rounds take minutes. */
async function tellFailover(rounds: number): Promise<void> {
  await using endpoint = await TestEndpoint.start();
  const app = await endpoint.app("story", { replicated: true });
  const { acknowledged, gapsMs, lost } = await failoverStory(endpoint, app, rounds);
  console.log(
    `Failover, ${rounds} rounds: ${acknowledged} documents acknowledged, ` +
      `${lost.local.length + lost.remote.length} lost (${lost.local.length} here, ${lost.remote.length} there); writes stopped for ${median(gapsMs).toFixed(0)} ms at the median, ` +
      `${Math.max(...gapsMs).toFixed(0)} ms at most.`,
  );
}

async function measure(): Promise<void> {
  await using straightDatabase = await TestDatabase.start();
  await using endpoint = await TestEndpoint.start();
  const app = await endpoint.app("bench");
  await straightDatabase.ask("PUT", "/bench");
  const at = (name: string, port: number, user: string, password: string): DataServer => ({
    name,
    at: { host: "127.0.0.1", port },
    authorization: basic(user, password),
    database: "bench",
  });
  const through = at("through the endpoint", endpoint.port, "bench", app.account.password);
  const servers = [
    at("embedded, straight", straightDatabase.port, "maestro", straightDatabase.password),
    through,
  ];
  const couchUrl = process.env["COUCH_URL"];
  if (couchUrl) servers.push(await overCouch(couchUrl));

  const rows: string[][] = [];
  for (const [title, load] of Object.entries(loads)) {
    for (const server of servers) {
      const { perSecond, medianMs, tailMs } = await run(server, load);
      rows.push([`${title}: ${server.name}`, perSecond.toFixed(0), medianMs.toFixed(2), tailMs.toFixed(2)]);
    }
  }
  console.log(table(["", "documents/s", "median ms", "99 % ms"], rows));
  if (!couchUrl) console.log("\nNo CouchDB was measured beside it: COUCH_URL is not set.");

  console.log(`\n${await addedToRead(endpoint, through)}\n`);

  const replicated = await endpoint.app("delays", { replicated: true });
  await replicated.ask("GET", "");
  await endpoint.until(
    "delays",
    ({ directions }) => directions.length === 2 && directions.every(({ state }) => state === "idle"),
  );
  const target: DataServer = {
    ...at("", endpoint.port, "delays", replicated.account.password),
    database: "delays",
  };
  const delays = await replicationDelays(endpoint, target, 100);
  console.log(
    `Replication is ${median(delays).toFixed(1)} ms behind at the median, ${quantile(delays, 0.99).toFixed(1)} ms at 99 %.`,
  );
  console.log(`Memory, MiB: database ${memoryOf(endpoint.local.pid)}, endpoint ${memoryOf(endpoint.pid)}.`);
}

console.log(`${machine()}\n`);
const rounds = Number(process.env["ROUNDS"] ?? 0);
await (rounds > 0 ? tellFailover(rounds) : measure());
