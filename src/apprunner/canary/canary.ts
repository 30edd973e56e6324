import { readFile } from "node:fs/promises";
import { z } from "zod";
import { Attempt } from "../../app/isolation.ts";
import type { Limits } from "../../app/limits.ts";
import { poll } from "../../lib/poll.ts";
import type { Host } from "../host.ts";
import { launch } from "../launch.ts";
import { untilReady } from "../ready.ts";
import type { KnownInstance } from "../run-files.ts";
import { stop } from "../stop.ts";
import { type CanaryPlace, layOut } from "./place.ts";
import { callsOf, listen, outerAddresses, reach } from "./targets.ts";

export type CanaryOptions = {
  host: Host;
  home: string;
  /** The users of the program that tries, and of the one that it tries it on; null: both are Maestro's own. */
  users: { canary: number; neighbour: number } | null;
  /** Three free ports: the canary's own, the neighbour's, and one that was given to the neighbour and is not in use. */
  ports: readonly [own: number, neighbours: number, stolen: number];
  /** Makes a port a user's, where the kernel holds to that. */
  own(uid: number, port: number): Promise<void>;
  signal: AbortSignal;
};

/** Enough for the canary itself; twice as much is what it tries to take. */
const limits: Limits = { memory: 128 * 1024 * 1024, cpu: 60, pids: 40 };
/** A busy machine needs its time; an app that starts has 30 s. */
const patienceMs = 60_000;

/**
 * What a program in the very sandbox of this machine's apps can do of what it must not. Throws when it could not be
 * tried at all. Leaves nothing behind.
 */
export async function runCanary(options: CanaryOptions): Promise<Attempt[]> {
  const { host, users, ports, own } = options;
  const [, neighbours, stolen] = ports;
  await using running = new AsyncDisposableStack();
  const place = await layOut(options);
  running.defer(() => place.remove());
  if (users) await own(users.neighbour, neighbours);
  const neighbour = await begin(running, place.neighbour, host);
  await untilReady(question(neighbour, place), options.signal);
  if (users) await own(users.neighbour, stolen);
  using ours = await listen();
  const targets = describeTargets(place, neighbour, ours.port, options);
  const canary = await begin(running, { ...place.canary, limits, env: { TARGETS: targets } }, host);
  const theft = stealTraffic(place.canary.output.stdout, canary, stolen, options.signal);
  const output = await untilEnded(canary, place, options.signal);
  return [...output, ...(await theft), ...accounts(canary, output)];
}

async function begin(
  running: AsyncDisposableStack,
  spec: CanaryPlace["canary"],
  host: Host,
): Promise<KnownInstance> {
  const instance = await launch(spec, host);
  running.defer(async () => void (await stop(instance, { graceMs: 1000 })));
  return instance;
}

function question(instance: KnownInstance, { neighbour: { port, user } }: CanaryPlace) {
  const readiness = { kind: "port" } as const;
  return { instance, port: port ?? 0, readiness, hostname: "neighbour", timeoutMs: patienceMs, user };
}

function describeTargets(
  { targets }: CanaryPlace,
  neighbour: KnownInstance,
  ours: number,
  { users, ports }: CanaryOptions,
): string {
  const [, port, stolen] = ports;
  return JSON.stringify({
    ...targets,
    pid: neighbour.pid,
    port,
    stolen,
    ours,
    addresses: outerAddresses(),
    maestroUid: process.getuid?.(),
    neighbourUid: users?.neighbour ?? process.getuid?.(),
    pids: limits.pids,
    megabytes: (limits.memory ?? 0) / 1024 / 1024,
    calls: callsOf(process.arch),
  });
}

/** Whether it gets the traffic of a port that was given to the neighbour. */
async function stealTraffic(
  output: string,
  canary: KnownInstance,
  port: number,
  signal: AbortSignal,
): Promise<Attempt[]> {
  const attempt = { dimension: "network", attempt: "get the traffic of a neighbour's port" } as const;
  const ended = new AbortController();
  void canary.exited.then(() => ended.abort());
  const listens = async () => /^{"listens":(true|false)}$/m.exec(await readFile(output, "utf8"))?.[1] ?? null;
  const listened = await poll(
    listens,
    { first: 10, most: 50 },
    { signal: AbortSignal.any([signal, ended.signal]) },
  ).catch(() => "false");
  if (listened !== "true") return [{ ...attempt, refused: true, detail: "it could not listen there" }];
  const answer = await reach(port);
  // One that has ended meanwhile answers nobody, which tells nothing.
  if (answer === null && ended.signal.aborted) return [];
  return [
    answer === null
      ? { ...attempt, refused: true, detail: "no connection came about" }
      : {
          ...attempt,
          refused: false,
          detail: `a client got ${JSON.stringify(answer)}; Maestro looks who listens before it routes`,
        },
  ];
}

async function untilEnded(
  canary: KnownInstance,
  place: CanaryPlace,
  signal: AbortSignal,
): Promise<Attempt[]> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
  const ended = await Promise.race([
    canary.exited.then(() => true),
    new Promise<false>((resolve) => late.addEventListener("abort", () => resolve(false), { once: true })),
  ]);
  const attempts = parse(await readFile(place.canary.output.stdout, "utf8"));
  if (ended && attempts.length > 0) return attempts;
  const words = (await readFile(place.canary.output.stderr, "utf8")).trim().split("\n").at(-1);
  throw new Error(
    `what apps are kept from could not be tried: ${words || "the program did not end in time"}`,
  );
}

const Line = z.union([Attempt, z.object({ listens: z.boolean() })]);

function parse(output: string): Attempt[] {
  const lines = output.split("\n").filter((line) => line.startsWith("{"));
  return lines.flatMap((line) => {
    const found = Line.safeParse(JSON.parse(line)).data;
    return found && "attempt" in found ? [found] : [];
  });
}

/** What the kernel's accounts say: of CPU always, of memory when all of the canary was killed for it. */
function accounts({ cgroup }: KnownInstance, output: Attempt[]): Attempt[] {
  const throttled = cgroup?.usage().cpuThrottled ?? 0;
  const cpu: Attempt = {
    dimension: "cpu",
    attempt: "use more CPU than it may",
    refused: throttled > 0,
    detail: throttled > 0 ? `it was made to wait ${throttled} times` : "nobody made it wait",
  };
  const wasTold = output.some(({ dimension }) => dimension === "memory");
  if (wasTold || !cgroup?.oomKills()) return [cpu];
  const memory = { dimension: "memory", attempt: "take more memory than it may" } as const;
  return [cpu, { ...memory, refused: true, detail: "all of it was killed" }];
}
