import type { Exit, LaunchSpec } from "../../src/app/instance.ts";
import type { Release } from "../../src/app/release.ts";
import type { AdoptedInstance, EndedInstance, Runner } from "../../src/control/ports.ts";
import type { MaestroError } from "../../src/errors.ts";

/** The declared port of Apprunner: what each launch does is said in advance, and what was asked for is noted. */
export class ScriptedRunner implements Runner {
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
    this.end(key, { code: 1, signal: null });
    return exited;
  }

  protected end(key: string, exit: Exit): void {
    this.#ends.get(key)?.(exit);
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
  async adopt(_runDirectory: string): Promise<AdoptedInstance | EndedInstance | null> {
    return null;
  }
  endUnrecognised = async () => {};
  effectiveUser = () => null;
}

export const release: Release = {
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
