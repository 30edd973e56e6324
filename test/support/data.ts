import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { ensureServerSecrets } from "../../src/data/secrets.ts";
import { connectChannel } from "../../src/lib/channel.ts";
import { keptExchanges } from "../../src/lib/kept-exchanges.ts";
import type { ServerSettings } from "../../src/protocol/data.ts";
import { freePort } from "./free-port.ts";
import { repository } from "./maestro.ts";

type Limits = z.input<typeof ServerSettings>["limits"];

/** An embedded database of its own, on a loopback port that stays the same when it is started again. */
export class TestDatabase implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly password: string;
  readonly #limits: Limits;
  #child: ChildProcess | null = null;
  #output = "";

  private constructor(directory: string, port: number, password: string, limits: Limits) {
    this.directory = directory;
    this.port = port;
    this.password = password;
    this.#limits = limits;
  }

  /** The unix socket that it listens on instead of its port, when it is a local server behind an endpoint. */
  socket: string | null = null;

  static async behindEndpoint(): Promise<TestDatabase> {
    const database = await TestDatabase.#prepare({});
    database.socket = join(database.directory, "server.sock");
    await database.serve();
    return database;
  }

  static async start(limits: Limits = {}): Promise<TestDatabase> {
    const database = await TestDatabase.#prepare(limits);
    await database.serve();
    return database;
  }

  static async #prepare(limits: Limits): Promise<TestDatabase> {
    const directory = await mkdtemp(join(tmpdir(), "data-test-"));
    const { admin } = await ensureServerSecrets(join(directory, "secrets.json"));
    return new TestDatabase(directory, await freePort(), admin.password, limits);
  }

  /** With the administrator's credentials. */
  get url(): string {
    return `http://maestro:${this.password}@127.0.0.1:${this.port}`;
  }

  get settings(): z.input<typeof ServerSettings> {
    const file = (name: string) => join(this.directory, name);
    return {
      directory: file("data"),
      listen: this.socket === null ? { host: "127.0.0.1", port: this.port } : { path: this.socket },
      control: file("control.sock"),
      lock: file("lock"),
      secrets: file("secrets.json"),
      limits: this.#limits,
    };
  }

  /** Starts it; resolves when it answers. */
  async serve(): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    const entry = join(repository, "src/data/server.ts");
    const args = ["--disable-warning=ExperimentalWarning", entry, "--tell", JSON.stringify(this.settings)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe", "pipe"] });
    this.#child = child;
    for (const output of [child.stdout, child.stderr]) {
      output?.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
      });
    }
    await once((child.stdio[3] as Socket).resume(), "close");
    if (child.exitCode !== null) throw new Error(`the database ended at its start: ${this.#output}`);
  }

  get pid(): number {
    return this.#child?.pid ?? Number.NaN;
  }

  get output(): string {
    return this.#output;
  }

  get hasEnded(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || this.hasEnded) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  async status() {
    const channel = await connectChannel(join(this.directory, "control.sock"), keptExchanges);
    try {
      return await channel.ask("status", {});
    } finally {
      channel.close();
    }
  }

  /** A request with JSON in and out. */
  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: {
        authorization: basic("maestro", this.password),
        "content-type": "application/json",
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
  }

  /** What is in a file of the database's directory. */
  read(name: string): Promise<string> {
    return readFile(join(this.directory, name), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
