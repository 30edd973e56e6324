import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Exit, LaunchSpec } from "../../src/app/instance.ts";
import type { Release } from "../../src/app/release.ts";
import { loadConfig } from "../../src/config.ts";
import { Controller } from "../../src/control/controller.ts";
import { History } from "../../src/control/history.ts";
import type { Databases, Releases, Runner, Traffic } from "../../src/control/ports.ts";
import { Registry } from "../../src/control/registry.ts";
import { startInstance } from "../../src/control/start.ts";
import { MaestroError } from "../../src/errors.ts";
import { silentLog } from "../../src/lib/log.ts";
import { Stamps } from "../../src/lib/stamp.ts";
import { AppLogs } from "../../src/logs/app-logs.ts";

/** The declared port of Apprunner: what each launch does is said in advance, and what was asked for is noted. */
class ScriptedRunner implements Runner {
  readonly isolation: Runner["isolation"] = {
    level: "process",
    holds: {},
    notes: [],
    attempts: [],
    triedAt: null,
  };
  async tryIsolation() {
    return this.isolation;
  }
  readonly launched: LaunchSpec[] = [];
  readonly stopped: string[] = [];
  readonly released: number[] = [];
  #nextPort = 20_001;
  readonly #script: (MaestroError | null)[];
  readonly words: string[];
  readonly #ends = new Map<string, (exit: Exit) => void>();

  constructor(script: (MaestroError | null)[], words: string[]) {
    this.#script = script;
    this.words = words;
  }

  async launch(spec: LaunchSpec) {
    this.launched.push(spec);
    const { promise, resolve } = Promise.withResolvers<Exit>();
    this.#ends.set(spec.key, resolve);
    return { key: spec.key, pid: 4_000_000 + this.launched.length, startTime: "1", exited: promise };
  }

  async startProgram(): Promise<never> {
    throw new Error("no program is started here");
  }

  async untilReady({ port }: { port: number }) {
    const failure = this.#script.shift();
    if (failure) throw failure;
    return { host: "127.0.0.1" as const, port };
  }

  async stop({ key, exited }: { key: string; exited: Promise<Exit> }) {
    this.stopped.push(key);
    this.#ends.get(key)?.({ code: 1, signal: null });
    return exited;
  }

  limit() {}
  readonly unlimited = [];
  confinementOf() {
    return { level: "process" as const, memory: { now: null, limit: null } };
  }
  async sweep() {}
  nameHosts() {}
  async close() {}

  async leasePort() {
    const port = this.#nextPort++;
    return { port, release: () => void this.released.push(port) };
  }

  reservePort(port: number) {
    return { port, release() {} };
  }

  freeze = async () => true;
  thaw = async () => {};
  adopt = async () => null;
  endUnrecognised = async () => {};
  effectiveUser = () => null;
}

const release: Release = {
  v: 1,
  app: "blog",
  number: 3,
  checksum: "",
  files: 1,
  bytes: 1,
  createdAt: "2026-01-01T00:00:00.000Z",
  plan: {
    source: "app.js",
    processes: { web: { kind: "node", file: "app.js" } },
    ready: { kind: "http", path: "/" },
    env: {},
    formation: {},
    hostnames: [],
    storage: false,
    limits: {},
    notes: [],
  },
};

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "maestro-start-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

async function startWith(runner: ScriptedRunner) {
  const logs = new AppLogs(home);
  logs.lastLines = async () => runner.words;
  const registry = await Registry.open(home, "localhost");
  const stamps = new Stamps();
  const controller = new Controller({
    config: loadConfig({ home }, {}),
    log: silentLog,
    registry,
    history: await History.open({ home, stamps, log: silentLog }),
    stamps,
    runner,
    // An instance is started without a look at these but for the directory of its release.
    releases: { directory: () => "/release" } as unknown as Releases,
    traffic: {} as Traffic,
    logs,
    databases: { urlOf: async () => null } as unknown as Databases,
    httpPort: 8000,
  });
  const app = await registry.create("blog", false);
  return startInstance(controller, { app, release, id: "web.1" }, new AbortController().signal);
}

const exited = () => new MaestroError("APP_EXITED", "blog exited with code 1", { exitCode: 1, signal: null });

describe("an instance that finds its port taken", () => {
  it("is started again on another port, and the first port is free again", async () => {
    const runner = new ScriptedRunner([exited(), null], ["Error: listen EADDRINUSE: address already in use"]);
    const instance = await startWith(runner);
    expect(runner.launched.map(({ port }) => port)).toEqual([20_001, 20_002]);
    expect(runner.released).toEqual([20_001]);
    expect(instance).toMatchObject({ port: 20_002, address: { host: "127.0.0.1", port: 20_002 } });
  });

  it("is given up after three ports, with what it said", async () => {
    const words = ["bind: Address already in use"];
    const runner = new ScriptedRunner([exited(), exited(), exited()], words);
    await expect(startWith(runner)).rejects.toMatchObject({
      code: "APP_EXITED",
      details: { app: "blog", exitCode: 1, instance: "web.1", release: 3, lastLines: words },
    });
    expect(runner.launched).toHaveLength(3);
    expect(runner.stopped).toHaveLength(3);
  });
});

it("an instance that fails for another reason is not tried again", async () => {
  const runner = new ScriptedRunner([exited()], ["no database"]);
  await expect(startWith(runner)).rejects.toMatchObject({ details: { lastLines: ["no database"] } });
  expect(runner.launched).toHaveLength(1);
  expect(runner.released).toEqual([20_001]);
});

it("every launch has a key, a run directory and output files of its own", async () => {
  const runner = new ScriptedRunner([exited(), null], ["EADDRINUSE"]);
  await startWith(runner);
  const [first, second] = runner.launched;
  expect(first?.key).not.toBe(second?.key);
  expect(first?.runDirectory).not.toBe(second?.runDirectory);
  expect(first?.output).not.toEqual(second?.output);
});
