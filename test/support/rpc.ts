import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { connect, type Socket } from "node:net";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { RpcOptions } from "../../src/rpc/door.ts";

export type DoorSettings = Pick<RpcOptions, "tcp" | "unix" | "token" | "limits"> & { appUid?: number };
type LogEntry = { msg: string; [fact: string]: unknown };

const program = resolve(import.meta.dirname, "../fixtures/rpc/server.ts");

/** A door in a process of its own, with the operations of test/fixtures/rpc/server.ts. */
export class TestDoor implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #log: LogEntry[] = [];
  readonly #listeners = new Set<() => void>();
  address = "";

  private constructor(settings: DoorSettings) {
    this.#child = spawn(process.execPath, [program, JSON.stringify(settings)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("its output is a pipe");
    createInterface({ input: stdout }).on("line", (line) => {
      this.#log.push(JSON.parse(line));
      for (const listener of this.#listeners) listener();
    });
  }

  static async start(settings: DoorSettings = {}): Promise<TestDoor> {
    const door = new TestDoor({ tcp: { host: "127.0.0.1", port: 0 }, ...settings });
    const { address } = await door.until("rpc.started");
    door.address = String(address);
    return door;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get log(): readonly LogEntry[] {
    return this.#log;
  }

  /** The first log line of an event that fits, now or later; of those after the first `since`. */
  async until(event: string, fits: (entry: LogEntry) => boolean = () => true, since = 0): Promise<LogEntry> {
    const find = () => this.#log.slice(since).find((entry) => entry.msg === event && fits(entry));
    const { promise, resolve } = Promise.withResolvers<LogEntry>();
    const look = () => {
      const found = find();
      if (found) resolve(found);
    };
    this.#listeners.add(look);
    look();
    const ended = once(this.#child, "exit").then(([code]) => {
      throw new Error(`the door exited with ${code}: ${JSON.stringify(this.#log.at(-1))}`);
    });
    ended.catch(() => {});
    return Promise.race([promise, ended]).finally(() => this.#listeners.delete(look));
  }

  /** Resident memory of the process, in MiB. */
  async residentMiB(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(name);
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.isAlive) return this.#child.exitCode;
    const exited = once(this.#child, "exit");
    this.#child.kill(signal);
    const [code] = await exited;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

type Remote = Record<string, (...args: unknown[]) => void>;
type DnodeClient = {
  connect(where: object): DnodeClient;
  end(): void;
  on(event: string, listener: (value: never) => void): DnodeClient;
};

/** The package itself, as callers from outside use it. */
const dnode: (methods: object, options: { weak: false }) => DnodeClient = createRequire(import.meta.url)(
  "dnode",
);

export function whereOf(
  address: string,
): { path: string; port?: undefined } | { host: string; port: number } {
  if (address.startsWith("/")) return { path: address };
  const split = address.lastIndexOf(":");
  return { host: address.slice(0, split).replace(/[[\]]/g, ""), port: Number(address.slice(split + 1)) };
}

/** An honest session of dnode 1.2.2. Rejects when it ends before it began. */
export async function dnodeSession(address: string): Promise<{ remote: Remote; end(): void }> {
  const client = dnode({}, { weak: false });
  const remote = await new Promise<Remote>((resolve, reject) => {
    client.on("remote", resolve);
    client.on("error", reject);
    client.on("end", () => reject(new Error("the session ended before it began")));
    client.connect(whereOf(address));
  });
  return { remote, end: () => client.end() };
}

export type Reply = { error: { code: string; message: string; details: object } | null; output: unknown };

export function call(remote: Remote, method: string, ...args: unknown[]): Promise<Reply> {
  return new Promise((resolve) => {
    remote[method]?.(...args, (error: Reply["error"], output: unknown) => resolve({ error, output }));
  });
}

/** One honest call of dnode 1.2.2 in a session of its own. */
export async function callOnce(address: string, method: string, ...args: unknown[]): Promise<Reply> {
  const { remote, end } = await dnodeSession(address);
  try {
    return await call(remote, method, ...args);
  } finally {
    end();
  }
}

/** As the door sends it: an answer, the greeting, or why the session ends. */
type Message = { method: unknown; arguments: [Reply["error"], unknown] };

/** A session of bare bytes. */
export class RawSession implements Disposable {
  readonly socket: Socket;
  /** Resolves when the other side has ended the session, however. */
  readonly closed: Promise<void>;
  readonly #lines: Message[] = [];
  readonly #listeners = new Set<() => void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {}); // A reset by the other side is one way of being ended.
    this.closed = new Promise((resolve) => {
      socket.once("end", resolve);
      socket.once("close", () => resolve());
    });
  }

  static async open(
    address: string,
    { reading = true, ...from }: { reading?: boolean; localAddress?: string } = {},
  ): Promise<RawSession> {
    const session = new RawSession(connect({ ...whereOf(address), ...from }));
    await once(session.socket, "connect");
    if (reading) {
      createInterface({ input: session.socket })
        .on("line", (line) => session.#note(line))
        .on("error", () => {});
    }
    return session;
  }

  send(...messages: (string | Uint8Array | object)[]): void {
    for (const message of messages) {
      if (message instanceof Uint8Array) this.socket.write(message);
      else this.socket.write(`${typeof message === "string" ? message : JSON.stringify(message)}\n`);
    }
  }

  /** The first message of this method, now or later. */
  async until(method: string | number): Promise<Message> {
    return this.#found(`without ${method}`, () => this.#lines.find((message) => message.method === method));
  }

  /** All messages, when there are so many. */
  async received(count: number): Promise<readonly Message[]> {
    return this.#found(`before ${count} messages`, () =>
      this.#lines.length < count ? undefined : this.#lines,
    );
  }

  async #found<T>(otherwise: string, find: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const look = () => {
      const found = find();
      if (found !== undefined) resolve(found);
    };
    const giveUp = () => reject(new Error(`the session ended ${otherwise}`));
    this.#listeners.add(look);
    this.socket.once("close", giveUp);
    look();
    return promise.finally(() => {
      this.#listeners.delete(look);
      this.socket.off("close", giveUp);
    });
  }

  /** Lets go of what has been received so far. */
  forget(): void {
    this.#lines.length = 0;
  }

  #note(line: string): void {
    this.#lines.push(JSON.parse(line));
    for (const listener of this.#listeners) listener();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
