/**
 * What the proxy costs beside nginx and http-proxy: `node bench/proxy.ts [ROUNDS] [SECONDS]`.
 *
 * One process each, in turn, on the same upstream: 64 kept connections from a load of its own process. Processor time
 * is the proxy's alone, user and system, by request; medians of the rounds.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { cpuMs, residentMiB } from "./support/cpu.ts";
import {
  hasNginx,
  type Running,
  startHttpProxy,
  startMaestro,
  startNginx,
  startUpstream,
} from "./support/proxies.ts";
import { machine, median, table } from "./support/table.ts";

const rounds = Number(process.argv[2] ?? 5);
const seconds = Number(process.argv[3] ?? 3);
const connections = 64;
const run = promisify(execFile);

type Result = { requests: number; failures: number; latenciesUs: [p50: number, p99: number] };
type Sample = { cpuUs: number; perSecond: number; p50Us: number; p99Us: number; failures: number };

async function load(port: number, path: string, duration: number): Promise<Result> {
  const program = join(import.meta.dirname, "support/http-load.ts");
  const { stdout } = await run(process.execPath, [
    program,
    ...[port, path, connections, duration].map(String),
  ]);
  return JSON.parse(stdout) as Result;
}

async function measure({ pid, port }: Running, path: string): Promise<Sample> {
  const before = await cpuMs(pid);
  const { requests, failures, latenciesUs } = await load(port, path, seconds);
  const cpuUs = (((await cpuMs(pid)) - before) * 1000) / requests;
  return { cpuUs, perSecond: requests / seconds, p50Us: latenciesUs[0], p99Us: latenciesUs[1], failures };
}

function row(name: string, samples: readonly Sample[], memory: string): string[] {
  const of = (value: (sample: Sample) => number): string => median(samples.map(value)).toFixed(0);
  const failures = samples.reduce((sum, sample) => sum + sample.failures, 0);
  return [
    name,
    of(({ cpuUs }) => cpuUs),
    of(({ perSecond }) => perSecond),
    of(({ p50Us }) => p50Us),
    of(({ p99Us }) => p99Us),
    memory,
    String(failures),
  ];
}

async function compare(title: string, path: string, proxies: Map<string, Running>): Promise<void> {
  const samples = new Map([...proxies.keys()].map((name) => [name, [] as Sample[]]));
  for (const { port } of proxies.values()) await load(port, path, 1); // What is compiled late, is compiled now.
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, proxy] of proxies) samples.get(name)?.push(await measure(proxy, path));
  }
  const rows: string[][] = [];
  for (const [name, proxy] of proxies) {
    rows.push(row(name, samples.get(name) ?? [], (await residentMiB(proxy.pid)).toFixed(0)));
  }
  if (!proxies.has("nginx")) rows.push(["nginx", "not installed"]);
  console.log(`\n${title}\n`);
  console.log(table(["", "CPU µs/req", "req/s", "p50 µs", "p99 µs", "RSS MiB", "failed"], rows));
}

const directory = await mkdtemp(join(tmpdir(), "maestro-bench-"));
const upstream = await startUpstream(directory);
const proxies = new Map<string, Running>();
try {
  proxies.set("Maestro", await startMaestro(directory, upstream.port));
  if (await hasNginx()) proxies.set("nginx", await startNginx(directory, upstream.port));
  proxies.set("http-proxy 1.18", await startHttpProxy(directory, upstream.port));
  console.log(`proxy, ${rounds} rounds of ${seconds} s, ${connections} connections, medians\n${machine()}`);
  await compare("GET, 6 bytes", "/small", proxies);
  await compare("GET, 100 KB", "/large", proxies);
} finally {
  for (const proxy of [...proxies.values(), upstream]) await proxy.end();
  await rm(directory, { recursive: true, force: true });
}
