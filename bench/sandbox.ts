/**
 * What the sandbox costs, and what it holds: `npm run bench:sandbox [-- ROUNDS]`, as root.
 *
 * In turn, the same app in the sandbox and as a bare child of this process: the time from the call until its port
 * accepts, what stays resident beside it, the latency of its answers. Then what the canary finds at each level that this
 * machine has.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LaunchSpec } from "../src/app/instance.ts";
import { type Attempt, dimensions, type IsolationLevel } from "../src/app/isolation.ts";
import { noLimits } from "../src/app/limits.ts";
import { canaryUids, firstAppUid, uidBlockOf } from "../src/app/uids.ts";
import { runCanary } from "../src/apprunner/canary/canary.ts";
import { type Host, openHost } from "../src/apprunner/host.ts";
import { launch } from "../src/apprunner/launch.ts";
import { Firewall } from "../src/apprunner/network/firewall.ts";
import { defaultPortRange, PortAllocator } from "../src/apprunner/ports.ts";
import { stop } from "../src/apprunner/stop.ts";
import { fixture } from "../test/support/maestro.ts";
import { footprintOf, type Memory } from "../test/support/memory.ts";
import { machine, median, quantile, table } from "./support/table.ts";

const rounds = Number(process.argv[2] ?? 100);
const requests = 500;
/** Between two starts, as where a machine is used: by then a shim has been started ahead for the next. */
const restMs = 300;
const directory = fixture("processes");
const ports = new PortAllocator();

type Running = { port: number; tookMs: number; beside: Memory | null; end(): Promise<void> };
type Home = { path: string; host: Host };

async function bare(): Promise<Running> {
  const { port } = await ports.lease();
  const began = performance.now();
  const env = { ...process.env, PORT: String(port), HOST: "127.0.0.1", NODE_ENV: "production" };
  const app = spawn(process.execPath, ["answers.js"], { cwd: directory, env, stdio: "ignore" });
  await untilItAccepts(port);
  const tookMs = performance.now() - began;
  const end = async () => {
    const exited = once(app, "exit");
    app.kill("SIGKILL");
    await exited;
  };
  return { port, tookMs, beside: null, end };
}

async function boxed({ path, host }: Home): Promise<Running> {
  const { port } = await ports.lease();
  const key = `bench.web.1.v1.${port}`;
  const uid = firstAppUid(uidBlockOf(path));
  const spec: LaunchSpec = {
    ...{ app: "bench", key, id: "web.1", release: 1, directory, port, storage: null, limits: noLimits },
    ...{ start: { kind: "node", file: "answers.js" }, env: {}, user: { uid, gid: uid } },
    runDirectory: join(path, "run", key),
    output: { stdout: join(path, "logs", `${key}.out`), stderr: join(path, "logs", `${key}.err`) },
  };
  const began = performance.now();
  const instance = await launch(spec, host);
  await untilItAccepts(port);
  const tookMs = performance.now() - began;
  const { beside } = footprintOf({ pid: instance.pid, runDirectory: spec.runDirectory });
  return { port, tookMs, beside, end: async () => void (await stop(instance, { graceMs: 0 })) };
}

async function untilItAccepts(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const accepted = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (accepted) return;
    await pause(0.5);
  }
}

/** From a request to the end of its answer, on a connection that is kept, µs. */
async function latencies(port: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (let at = 0; at < requests; at += 1) {
    const began = performance.now();
    const [answer] = await once(get({ host: "127.0.0.1", port, agent, path: "/" }), "response");
    answer.resume();
    await once(answer, "end");
    times.push((performance.now() - began) * 1000);
  }
  agent.destroy();
  return times;
}

async function measure(home: Home): Promise<void> {
  const starts: Record<"bare" | "boxed", number[]> = { bare: [], boxed: [] };
  const answers: Record<"bare" | "boxed", number[]> = { bare: [], boxed: [] };
  const beside: Memory[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const how of ["bare", "boxed"] as const) {
      await pause(restMs);
      const running = await (how === "bare" ? bare() : boxed(home));
      starts[how].push(running.tookMs);
      if (running.beside) beside.push(running.beside);
      if (round % 5 === 0) answers[how].push(...(await latencies(running.port)).slice(50));
      await running.end();
    }
  }
  const mib = (of: keyof Memory) => (median(beside.map((memory) => memory[of])) / 1024).toFixed(2);
  const row = (name: string, how: "bare" | "boxed", memory: string[]) => [
    name,
    `${median(starts[how]).toFixed(1)} ms`,
    `${quantile(starts[how], 0.9).toFixed(1)} ms`,
    `${median(answers[how]).toFixed(0)} µs`,
    ...memory,
  ];
  const head = ["", "start", "p90", "answer", "beside it: RSS MiB", "private MiB"];
  const inside = row(`level ${home.host.sandbox.level}`, "boxed", [mib("residentKiB"), mib("privateKiB")]);
  console.log(table(head, [row("bare child", "bare", ["-", "-"]), inside]));
  const cost = median(starts.boxed) - median(starts.bare);
  console.log(`\nthe sandbox adds ${cost.toFixed(1)} ms to a start (medians)\n`);
}

async function withHome<T>(level: IsolationLevel, work: (home: Home) => Promise<T>): Promise<T | null> {
  const path = await mkdtemp(join(tmpdir(), "maestro-bench-"));
  await chmod(path, 0o711);
  const host = await openHost({ home: path, atMost: level });
  try {
    return host.sandbox.level === level ? await work({ path, host }) : null;
  } finally {
    host.cgroups?.remove();
    await rm(path, { recursive: true, force: true });
  }
}

async function canaryAt({ path, host }: Home): Promise<Attempt[]> {
  const uids = uidBlockOf(path);
  const network = {
    id: host.id,
    uids,
    maestros: uids,
    ports: defaultPortRange,
    openPorts: [],
    closedPorts: [],
  };
  const firewall = await Firewall.open(network);
  try {
    const leases = [await ports.lease(), await ports.lease(), await ports.lease()] as const;
    const [own, neighbours, stolen] = leases.map(({ port }) => port);
    return await runCanary({
      ...{ host, home: path, users: host.ownUsers ? canaryUids(uids) : null },
      ports: [own ?? 0, neighbours ?? 0, stolen ?? 0],
      own: (uid, port) => firewall.own(uid, port),
      signal: AbortSignal.timeout(120_000),
    });
  } finally {
    await firewall.close();
  }
}

function verdict(attempts: readonly Attempt[] | null, dimension: string): string {
  const made = attempts?.filter((attempt) => attempt.dimension === dimension) ?? [];
  const allowed = made.filter(({ refused }) => !refused).length;
  if (made.length === 0) return "-";
  return allowed === 0 ? "refused" : `${allowed} of ${made.length} allowed`;
}

if (process.getuid?.() !== 0) throw new Error("the level `full` takes root; run it as root");
console.log(`the sandbox, ${rounds} rounds\n${machine()}\n`);
await withHome("full", measure);
const levels = ["full", "landlock", "process"] as const;
const found = new Map<IsolationLevel, Attempt[] | null>();
for (const level of levels) found.set(level, await withHome(level, canaryAt));
const rows = dimensions.map((name) => [
  name,
  ...levels.map((level) => verdict(found.get(level) ?? null, name)),
]);
console.log(table(["what was tried", ...levels], rows));
