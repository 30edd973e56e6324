import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { AppUser } from "../../src/app/app.ts";
import type { LaunchSpec, ReadyQuestion, RunningInstance } from "../../src/app/instance.ts";
import type { IsolationLevel } from "../../src/app/isolation.ts";
import { noLimits } from "../../src/app/limits.ts";
import { type Host, openHost } from "../../src/apprunner/host.ts";
import { launch } from "../../src/apprunner/launch.ts";
import { PortAllocator } from "../../src/apprunner/ports.ts";
import type { KnownInstance } from "../../src/apprunner/run-files.ts";
import type { Runtime } from "../../src/apprunner/runtime.ts";
import { stop } from "../../src/apprunner/stop.ts";
import { readProcess } from "../../src/lib/processes.ts";
import { follow } from "../../src/logs/follow.ts";

export const fixtures = resolve(import.meta.dirname, "../fixtures/apps");
export const isRoot = process.getuid?.() === 0;
/** A user that owns nothing here; null where we may not choose. */
export const someUser: AppUser | null = isRoot ? { uid: 29_991, gid: 29_991 } : null;

const ports = new PortAllocator();

/** A place for instances that ends them all, and forgets them, when it is disposed of. */
export class Place implements AsyncDisposable {
  readonly home: string;
  readonly host: Host;
  readonly #instances: RunningInstance[] = [];

  private constructor(home: string, host: Host) {
    this.home = home;
    this.host = host;
  }

  /** Its instances are confined as far as `level` says; it is an error where the machine cannot do that. */
  static async create(level: IsolationLevel = "process"): Promise<Place> {
    const home = await mkdtemp(join(tmpdir(), "apprunner-test-"));
    await chmod(home, 0o711); // the apps' own users pass through it
    const host = await openHost({ home, atMost: level });
    if (host.sandbox.level !== level) throw new Error(host.obstacles.join("; "));
    return new Place(home, host);
  }

  /** What starts the fixture `processes`, on a port of its own; `changes` say what is different. */
  async spec(changes: Partial<LaunchSpec> = {}): Promise<LaunchSpec> {
    const { port } = await ports.lease();
    const key = `hello.web.1.v3.${randomBytes(4).toString("hex")}`;
    const output = {
      stdout: join(this.home, "logs", `${key}.out.log`),
      stderr: join(this.home, "logs", `${key}.err.log`),
    };
    return {
      app: "hello",
      key,
      id: "web.1",
      release: 3,
      directory: join(fixtures, "processes"),
      start: { kind: "node", file: "answers.js" },
      port,
      env: {},
      user: null,
      storage: null,
      limits: noLimits,
      runDirectory: join(this.home, "run", key),
      output,
      ...changes,
    };
  }

  async launch(spec: LaunchSpec, runtime: Partial<Runtime> = {}): Promise<KnownInstance> {
    return this.keep(await launch(spec, { ...this.host, runtime: { ...this.host.runtime, ...runtime } }));
  }

  /** Has an instance ended with this place. */
  keep<T extends RunningInstance>(instance: T): T {
    this.#instances.push(instance);
    return instance;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#instances.map((instance) => stop(instance, { graceMs: 0 })));
    this.host.cgroups?.remove();
    // A shim whose instance was lost from sight may be writing down how that ended.
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function question(
  spec: LaunchSpec,
  instance: RunningInstance,
  changes: Partial<ReadyQuestion> = {},
): ReadyQuestion {
  return {
    instance,
    port: spec.port ?? 0,
    readiness: { kind: "http", path: "/" },
    hostname: "hello.example",
    timeoutMs: 30_000,
    user: spec.user,
    ...changes,
  };
}

/** Resolves with the first line of a log that matches. */
export async function lineIn(path: string, pattern: RegExp): Promise<string> {
  const found = new AbortController();
  let match = "";
  await follow(dirname(path), {
    from: (name) => (name === basename(path) ? 0 : null),
    signal: found.signal,
    onLine(_, { text }) {
      if (found.signal.aborted || !pattern.test(text)) return;
      match = text;
      found.abort();
    },
  });
  return match;
}

export const textOf = (path: string): Promise<string> => readFile(path, "utf8");

/** Whether a process of this pid is there, zombies excepted. */
export const isThere = (pid: number): boolean => readProcess(pid) !== null;
