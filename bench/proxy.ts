/**
 * What the proxy costs beside its neighbours: `node bench/proxy.ts [--rounds N] [--seconds S] [SCENARIO …]`.
 *
 * One process each, in turn, on the same upstream, under a load of its own process. Processor time is the proxy's
 * alone, user and system; medians of the rounds, and ratios to nginx. nginx, haproxy and Caddy are installed when
 * this runs as root on Debian or Ubuntu, and started on free ports.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { cpuMs, residentMiB } from "./support/cpu.ts";
import type { Load, LoadResult } from "./support/http-load.ts";
import { installNeighbours, type Neighbour } from "./support/packages.ts";
import {
  type Running,
  type Start,
  startCaddy,
  startFloor,
  startHaproxy,
  startHttpProxy,
  startLoggingMaestro,
  startMaestro,
  startNginx,
  startUpstream,
} from "./support/proxies.ts";
import { machine, median, table } from "./support/table.ts";

type Scenario = { title: string; load: Omit<Load, "port" | "seconds">; unit: "request" | "MB" };

const scenarios: Record<string, Scenario> = {
  small: { title: "GET, 6 bytes", load: { path: "/small", connections: 64 }, unit: "request" },
  post: { title: "POST, 1 KB", load: { path: "/post", connections: 64, sends: 1024 }, unit: "request" },
  large: { title: "GET, 100 KB", load: { path: "/large", connections: 64 }, unit: "request" },
  huge: { title: "GET, 10 MB", load: { path: "/huge", connections: 4 }, unit: "MB" },
  close: {
    title: "GET, 6 bytes, Connection: close",
    load: { path: "/small", connections: 32, closes: true },
    unit: "request",
  },
  "access-log": {
    title: "GET, 6 bytes, Maestro also with an access log",
    load: { path: "/small", connections: 64 },
    unit: "request",
  },
};
const idleConnections = 9000;
/** By then the programs on V8 have been compiled: where each request has a connection, that takes thousands of them. */
const warmUpSeconds = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const wanted = positionals.length > 0 ? positionals : [...Object.keys(scenarios), "idle"];
const run = promisify(execFile);

type Sample = { cpuUs: number; perSecond: number; p50Us: number; p99Us: number; failures: number };

async function put({ port }: Running, { load }: Scenario, duration: number): Promise<LoadResult> {
  const program = join(import.meta.dirname, "support/http-load.ts");
  const { stdout } = await run(process.execPath, [
    program,
    JSON.stringify({ ...load, port, seconds: duration }),
  ]);
  return JSON.parse(stdout) as LoadResult;
}

async function measure(proxy: Running, scenario: Scenario): Promise<Sample> {
  const before = await cpuMs(proxy.pid);
  const { requests, failures, bytes, latenciesUs } = await put(proxy, scenario, seconds);
  const units = scenario.unit === "MB" ? bytes / 1024 ** 2 : requests;
  const cpuUs = (((await cpuMs(proxy.pid)) - before) * 1000) / units;
  return { cpuUs, perSecond: units / seconds, p50Us: latenciesUs[0], p99Us: latenciesUs[1], failures };
}

async function compare(scenario: Scenario, proxies: ReadonlyMap<string, Running>): Promise<void> {
  const samples = new Map([...proxies.keys()].map((name) => [name, [] as Sample[]]));
  for (const proxy of proxies.values()) await put(proxy, scenario, warmUpSeconds);
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, proxy] of proxies) samples.get(name)?.push(await measure(proxy, scenario));
  }
  const nginx = median((samples.get("nginx") ?? []).map(({ cpuUs }) => cpuUs));
  const rows: string[][] = [];
  for (const [name, proxy] of proxies) {
    const of = (value: (sample: Sample) => number) => median((samples.get(name) ?? []).map(value));
    const cpu = of(({ cpuUs }) => cpuUs);
    const failures = (samples.get(name) ?? []).reduce((sum, sample) => sum + sample.failures, 0);
    rows.push([
      name,
      cpu.toFixed(1),
      (cpu / nginx).toFixed(2),
      of(({ perSecond }) => perSecond).toFixed(0),
      of(({ p50Us }) => p50Us).toFixed(0),
      of(({ p99Us }) => p99Us).toFixed(0),
      (await residentMiB(proxy.pid)).toFixed(0),
      String(failures),
    ]);
  }
  const { title, unit } = scenario;
  console.log(`\n${title}\n`);
  console.log(
    table(["", `CPU µs/${unit}`, "× nginx", `${unit}s/s`, "p50 µs", "p99 µs", "RSS MiB", "failed"], rows),
  );
}

/** What an idle connection keeps resident in the proxy, once it has carried a request. */
async function idle(proxies: ReadonlyMap<string, Running>): Promise<void> {
  const rows: string[][] = [];
  for (const [name, proxy] of proxies) {
    const before = await residentMiB(proxy.pid);
    const program = join(import.meta.dirname, "support/idle-clients.ts");
    const clients = spawn(process.execPath, [program, String(proxy.port), String(idleConnections)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(clients.stdout, "data");
    const kept = (await residentMiB(proxy.pid)) - before;
    clients.stdin.end();
    await once(clients, "exit");
    rows.push([name, ((kept * 1024) / idleConnections).toFixed(1), before.toFixed(0)]);
  }
  console.log(`\n${idleConnections} idle connections\n`);
  console.log(table(["", "KB/connection", "RSS MiB before"], rows));
}

const starts: [string, Start, Neighbour | null][] = [
  ["Maestro", startMaestro, null],
  ["nginx", startNginx, "nginx"],
  ["haproxy", startHaproxy, "haproxy"],
  ["Caddy", startCaddy, "caddy"],
  ["http-proxy 1.18", startHttpProxy, null],
];
const here = await installNeighbours();
const directory = await mkdtemp(join(tmpdir(), "maestro-bench-"));
const upstream = await startUpstream(directory, here.has("nginx"));
const proxies = new Map<string, Running>();
const others: Running[] = [upstream];
try {
  for (const [name, start, neighbour] of starts) {
    if (neighbour === null || here.has(neighbour)) proxies.set(name, await start(directory, upstream.port));
  }
  console.log(`proxy, ${rounds} rounds of ${seconds} s, medians\n${machine()}`);
  for (const name of wanted) {
    const scenario = scenarios[name];
    if (name === "idle") await idle(proxies);
    else if (!scenario)
      throw new Error(`no such scenario: ${name} (${Object.keys(scenarios).join(", ")}, idle)`);
    else if (scenario.load.closes) {
      const floor = await startFloor(directory, upstream.port);
      others.push(floor);
      await compare(scenario, new Map([...proxies, ["node:net, accept and answer", floor]]));
    } else if (name === "access-log") {
      const logging = await startLoggingMaestro(directory, upstream.port);
      others.push(logging);
      const some = [...proxies].filter(([name]) => ["Maestro", "nginx"].includes(name));
      await compare(scenario, new Map([...some, ["Maestro, access log", logging]]));
    } else await compare(scenario, proxies);
  }
} finally {
  for (const proxy of [...proxies.values(), ...others]) await proxy.end();
  await rm(directory, { recursive: true, force: true });
}
