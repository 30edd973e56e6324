import type { DeployProgress, LogLine } from "../src/app/reports.ts";
import type { RunOutput, RunStarted } from "../src/app/run-reports.ts";
import type { MaestroError } from "../src/errors.ts";
import { JsonLines } from "../src/lib/json-lines.ts";
import { type DnodeFunction, type DnodeMethods, DnodePeer } from "../src/protocol/dnode.ts";
import { parseMessage } from "../src/protocol/dnode-message.ts";
import type { Link } from "./link.ts";
import type { CallOptions, OperationName, Operations } from "./operations.ts";
import { closed, during, noOperation, notMaestro } from "./session-errors.ts";
import { errorFrom } from "./wire-error.ts";

const maxLineBytes = 64 * 1024 * 1024;
const maxMethods = 1000;

/** The connection that a link carries, once the server has greeted. Aborting `deadline` before ends the link. */
export async function greet(link: Link, server: string, deadline: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const client = new Connection(link, server, () => {
      deadline.removeEventListener("abort", giveUp);
      resolve(client);
    });
    const giveUp = () => client.end(notMaestro(server));
    if (deadline.aborted) giveUp();
    deadline.addEventListener("abort", giveUp);
    client.ended.catch(reject);
  });
}

/** One connection to a server, from `greet`. */
export class Connection {
  /** Never resolves; rejects with the reason when the session has ended. */
  readonly ended: Promise<never>;
  readonly #link: Link;
  readonly #server: string;
  readonly #peer: DnodePeer;
  readonly #pending = new Set<PendingCall>();
  #methods: DnodeMethods = {};
  #reason: MaestroError | null = null;
  #tellEnd: (reason: MaestroError) => void = () => {};

  /** Use `greet`. */
  constructor(link: Link, server: string, onGreeting: () => void) {
    this.#link = link;
    this.#server = server;
    this.ended = new Promise((_, reject) => {
      this.#tellEnd = reject;
    });
    this.ended.catch(() => {}); // Most callers learn it from their call.
    const onSend = (message: unknown) => link.write(`${JSON.stringify(message)}\n`);
    const onRemote = (methods: DnodeMethods) => {
      this.#methods = methods;
      onGreeting();
    };
    const onFault = () => {}; // The server told something of a call that has been given up.
    this.#peer = new DnodePeer({}, { onSend, onRemote, onFault });
    const lines = new JsonLines({ maxBytes: maxLineBytes, onValue: (value) => this.#take(value) });
    void link.closed.then((reason) => this.end(reason));
    link.onData((chunk) => this.#receive(chunk, lines));
  }

  /**
   * Calls an operation. Rejects with the `MaestroError` that the server answers, or with `INTERNAL` when the session
   * ends before the answer. Aborting `signal` ends the waiting with its reason; the server goes on until `close`.
   */
  async call<Name extends OperationName>(
    name: Name,
    input: Operations[Name]["input"],
    options: CallOptions = {},
  ): Promise<Operations[Name]["output"]> {
    // The server has checked it against the schema that this type comes from.
    return (await this.#ask(name, { ...input }, options)) as Operations[Name]["output"];
  }

  /** Shows the token. */
  async authenticate(token: string): Promise<void> {
    await this.#ask("auth", token, {});
  }

  /** Whether it can be used no more. */
  get hasEnded(): boolean {
    return this.#reason !== null;
  }

  /** Ends the session; what has no answer yet is rejected. */
  close(): void {
    this.end(closed(this.#server));
  }

  /** Ends the session for a reason, which every call that waits is told. */
  end(reason: MaestroError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    for (const call of this.#pending) call.fail(during(call.name, reason));
    this.#tellEnd(reason);
    this.#peer.end();
    this.#link.end();
  }

  async #ask(name: string, input: object | string, options: CallOptions): Promise<unknown> {
    if (this.#reason !== null) throw this.#reason;
    options.signal?.throwIfAborted();
    const method = Object.hasOwn(this.#methods, name) ? this.#methods[name] : undefined;
    if (method === undefined) throw noOperation(this.#server, name);

    const call = new PendingCall(name);
    const abort = () => call.fail(options.signal?.reason);
    options.signal?.addEventListener("abort", abort);
    this.#pending.add(call);
    try {
      method(typeof input === "string" ? input : { ...input, ...call.streams(options) }, call.reply());
      return await call.answer;
    } finally {
      this.#pending.delete(call);
      options.signal?.removeEventListener("abort", abort);
      for (const lent of call.lent) this.#peer.forget(lent);
    }
  }

  #receive(chunk: Buffer, lines: JsonLines): void {
    if (this.#reason !== null) return;
    try {
      lines.push(chunk);
    } catch {
      this.end(notMaestro(this.#server)); // Too long, not JSON, or not DNode.
    }
  }

  /** The method `error` is how the door says why it ends a session that has not asked anything. */
  #take(value: unknown): void {
    const message = parseMessage(value, maxMethods);
    if (message.method === "error") this.end(errorFrom(message.arguments[0]));
    else this.#peer.handle(message);
  }
}

/** A call that waits for its answer, and the functions that the server was lent for it. */
class PendingCall {
  readonly name: string;
  readonly answer: Promise<unknown>;
  readonly lent: DnodeFunction[] = [];
  #resolve: (output: unknown) => void = () => {};
  fail: (reason: unknown) => void = () => {};

  constructor(name: string) {
    this.name = name;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.fail = reject;
    });
  }

  reply(): DnodeFunction {
    return this.#lend((error, output) => {
      if (error === null || error === undefined) this.#resolve(output);
      else this.fail(errorFrom(error));
    });
  }

  streams({ onProgress, onLine, onStarted, onOutput }: CallOptions): Record<string, DnodeFunction> {
    return {
      ...(onProgress && { onProgress: this.#lend((progress) => onProgress(progress as DeployProgress)) }),
      ...(onLine && { onLine: this.#lend((line) => onLine(line as LogLine)) }),
      ...(onStarted && { onStarted: this.#lend((started) => onStarted(started as RunStarted)) }),
      ...(onOutput && { onOutput: this.#lend((output) => onOutput(output as RunOutput)) }),
    };
  }

  /** What throws in the hands of the server is the call's failure. */
  #lend(told: DnodeFunction): DnodeFunction {
    const guarded: DnodeFunction = (...values) => {
      try {
        told(...values);
      } catch (error) {
        this.fail(error);
      }
    };
    this.lent.push(guarded);
    return guarded;
  }
}
