import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { type Client, connect } from "../../sdk/client.ts";
import type { AppUser } from "../../src/app/app.ts";
import { hostIdOf } from "../../src/apprunner/host.ts";
import { apply } from "../../src/apprunner/network/nft.ts";
import { tableOf } from "../../src/apprunner/network/options.ts";
import { deleteTable } from "../../src/apprunner/network/ruleset.ts";

export const repository = resolve(import.meta.dirname, "../..");
export const fixture = (name: string): string => join(repository, "test/fixtures/apps", name);

type LogEntry = { msg: string; [fact: string]: unknown };
const Ready = z.object({ http: z.array(z.string()), rpc: z.string() });

/** A real `maestro serve` with a home of its own, on free ports. */
export class TestMaestro implements AsyncDisposable {
  readonly home: string;
  readonly #flags: readonly string[];
  readonly #program: string;
  #child: ChildProcess | null = null;
  #client: Promise<Client> | null = null;
  readonly #log: LogEntry[] = [];
  readonly #listeners = new Set<(entry: LogEntry) => void>();
  #errors = "";
  httpPort = 0;
  rpc = "";

  readonly #user: AppUser | null;

  private constructor(home: string, flags: readonly string[], program: string, user: AppUser | null) {
    this.home = home;
    this.#flags = flags;
    this.#program = program;
    this.#user = user;
  }

  static async start(...flags: string[]): Promise<TestMaestro> {
    return TestMaestro.startFrom(repository, ...flags);
  }

  /** Of the Maestro that is installed in a directory. */
  static async startFrom(program: string, ...flags: string[]): Promise<TestMaestro> {
    return TestMaestro.#start(program, flags, null);
  }

  /** As somebody who is not root, for tests that run as root. */
  static async startAs(user: AppUser, ...flags: string[]): Promise<TestMaestro> {
    return TestMaestro.#start(repository, flags, user);
  }

  static async #start(program: string, flags: string[], user: AppUser | null): Promise<TestMaestro> {
    const home = await mkdtemp(join(tmpdir(), "maestro-test-"));
    await chmod(home, 0o711); // the apps' own users pass through it
    if (user) await chown(home, user.uid, user.gid);
    const maestro = new TestMaestro(home, flags, program, user);
    try {
      await maestro.serve();
      return maestro;
    } catch (error) {
      await rm(home, { recursive: true, force: true });
      throw error;
    }
  }

  /** Starts the controller, on the ports that it had if it ran before. */
  async serve(env: Record<string, string> = {}): Promise<void> {
    const http = `127.0.0.1:${this.httpPort}`;
    const rpc = this.rpc === "" ? "127.0.0.1:0" : this.rpc;
    const args = [
      join(this.#program, "bin/maestro.ts"),
      "serve",
      "--home",
      this.home,
      "--http",
      http,
      "--rpc",
      rpc,
      ...this.#flags,
    ];
    const child = spawn(process.execPath, args, {
      cwd: this.#program,
      // Databases are two processes more, which only some tests are about: those ask for them.
      env: { MAESTRO_COUCH: "none", ...process.env, ...env },
      ...(this.#user ?? {}),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => this.#note(line));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
    const since = this.#log.length;
    const ready = this.until("maestro.ready", () => true, since);
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`maestro serve exited with ${code}: ${this.#errors}\n${this.logText()}`);
    });
    const facts = Ready.parse(await Promise.race([ready, ended]));
    ended.catch(() => {}); // From here on its end is no surprise.
    this.httpPort = Number(facts.http[0]?.split(":").pop());
    this.rpc = facts.rpc;
  }

  #note(line: string): void {
    const parsed = z.looseObject({ msg: z.string() }).safeParse(JSON.parse(line));
    if (!parsed.success) return;
    this.#log.push(parsed.data);
    for (const listener of this.#listeners) listener(parsed.data);
  }

  /** The first log line of an event that fits, now or later. */
  async until(event: string, fits: (entry: LogEntry) => boolean = () => true, since = 0): Promise<LogEntry> {
    const isIt = (entry: LogEntry) => entry.msg === event && fits(entry);
    const found = this.#log.slice(since).find(isIt);
    if (found) return found;
    const { promise, resolve } = Promise.withResolvers<LogEntry>();
    const listener = (entry: LogEntry) => {
      if (!isIt(entry)) return;
      this.#listeners.delete(listener);
      resolve(entry);
    };
    this.#listeners.add(listener);
    return promise;
  }

  /** The latest log line of an event, the first one when none has come yet. */
  async last(event: string): Promise<LogEntry> {
    return this.#log.findLast(({ msg }) => msg === event) ?? this.until(event);
  }

  get logLength(): number {
    return this.#log.length;
  }

  logSince(since: number, event: string): LogEntry[] {
    return this.#log.slice(since).filter(({ msg }) => msg === event);
  }

  logText(): string {
    return this.#log.map((entry) => JSON.stringify(entry)).join("\n");
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("maestro does not run");
    return pid;
  }

  async client(): Promise<Client> {
    this.#client ??= connect({ server: this.rpc });
    return this.#client;
  }

  #hangUp(): void {
    void this.#client?.then((client) => client.close());
    this.#client = null;
  }

  /** Puts a fixture, with some files replaced, into an app's incoming/. */
  async send(app: string, from: string, files: Record<string, string> = {}): Promise<string> {
    const { path } = await (await this.client()).call("incoming", { app });
    await rm(path, { recursive: true, force: true });
    await cp(from, path, { recursive: true, verbatimSymlinks: true });
    for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
    return path;
  }

  async deploy(app: string, from: string, files: Record<string, string> = {}, hostname = `${app}.test`) {
    await this.send(app, from, files);
    return (await this.client()).call("restart", { app, hostname });
  }

  /** Deploys an app again with some files replaced, as rsync would send them. */
  async change(app: string, files: Record<string, string>) {
    await this.write(app, files);
    return (await this.client()).call("restart", { app });
  }

  /** Writes some files to an app's incoming/, over what is there. */
  async write(app: string, files: Record<string, string>): Promise<void> {
    const incoming = join(this.home, "apps", app, "incoming");
    for (const [name, content] of Object.entries(files)) await writeFile(join(incoming, name), content);
  }

  /** Resolves when the controller has ended, by whatever. */
  async ended(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, "exit");
    this.#hangUp();
  }

  /** Signals the controller and waits for its end. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.#hangUp();
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, "exit");
    child.kill(signal);
    const [code] = await exited;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A controller that is gone may have left workers and apps: the next one takes them over and ends them.
    if (this.#child?.exitCode !== null || this.#child.signalCode !== null) await this.serve().catch(() => {});
    await this.end("SIGINT");
    await this.#removeTable();
    await rm(this.home, { recursive: true, force: true });
  }

  /** One that did not come to its end has left its rules, which would hold for users that another home may get. */
  async #removeTable(): Promise<void> {
    await apply("be removed", deleteTable(tableOf(hostIdOf(this.home)))).catch(() => {}); // There is no nft, or no right to it.
  }
}
