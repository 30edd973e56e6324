import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

const program = resolve(import.meta.dirname, "../fixtures/network/tenant.js");

type Place = { host?: string; port: number };

/** How long a connection is waited for that is not to come: longer than the kernel takes to repeat a SYN, 1 s. */
const patience = 1300;

/** A process of a user that listens and connects as it is told. */
export class Tenant implements AsyncDisposable {
  readonly uid: number;
  readonly #child: ChildProcess;
  #asked = 0;

  private constructor(uid: number, child: ChildProcess) {
    this.uid = uid;
    this.#child = child;
    child.setMaxListeners(0);
  }

  static async start(uid: number): Promise<Tenant> {
    const child = fork(program, { uid, gid: uid, cwd: "/", env: {}, execArgv: [] });
    await once(child, "spawn");
    return new Tenant(uid, child);
  }

  /** Resolves with the port: the one that was asked for, or with 0 one of the kernel's choice. */
  async listen({ host = "127.0.0.1", port }: Place): Promise<number> {
    const listening = await this.#ask("listen", { host, port });
    if (typeof listening === "number") return listening;
    throw new Error(`${host}:${port} cannot be had by ${this.uid}: ${listening}`);
  }

  async unlisten({ host = "127.0.0.1", port }: Place): Promise<void> {
    await this.#ask("unlisten", { host, port });
  }

  /** How many connections came in, however short. */
  async accepted(): Promise<unknown> {
    return this.#ask("accepted", {});
  }

  /** "answered by UID", an error code such as "ECONNREFUSED", or "no answer". */
  async connect({ host = "127.0.0.1", port, localPort }: Place & { localPort?: number }): Promise<unknown> {
    return this.#ask("connect", { host, port, localPort, patience });
  }

  /** "answered", an error code, or "no answer". */
  async datagram({ host = "127.0.0.1", port }: Place): Promise<unknown> {
    return this.#ask("datagram", { host, port, patience });
  }

  async #ask(task: string, input: object): Promise<unknown> {
    this.#asked += 1;
    const id = this.#asked;
    const answer = new Promise<unknown>((resolve, reject) => {
      const ended = () => reject(new Error(`the tenant ${this.uid} ended before it answered`));
      const hear = (message: unknown) => {
        if (!isAnswer(message) || message.id !== id) return;
        this.#child.off("message", hear).off("exit", ended);
        resolve(message.outcome);
      };
      this.#child.on("message", hear).once("exit", ended);
    });
    this.#child.send({ id, task, input });
    return answer;
  }

  /** Ends as a crash does. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

function isAnswer(message: unknown): message is { id: number; outcome: unknown } {
  return typeof message === "object" && message !== null && "id" in message && "outcome" in message;
}
