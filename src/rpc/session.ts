import type { Socket } from "node:net";
import { describePrincipal, type Principal } from "../app/principal.ts";
import { MaestroError, toWire, type WireError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import { DnodePeer } from "../protocol/dnode.ts";
import { parseMessage, replyIdOf } from "../protocol/dnode-message.ts";
import { type CallerRules, recognize, type Via } from "./caller.ts";
import { type CallingSession, type CallRules, Calls } from "./calls.ts";
import type { Limits } from "./limits.ts";
import { LineSplitter, parseLine } from "./lines.ts";

export type { Via } from "./caller.ts";
export type SessionRules = CallerRules & Omit<CallRules, "maxCalls"> & { limits: Limits };

const keepAliveMs = 60_000;

/** Both concern what callers offer: nothing of theirs is kept, and nothing of ours can be given back. */
const ignored: ReadonlySet<string | number> = new Set(["methods", "cull"]);

/** `new` until its first call, `proved` after it, then `ended`: nothing is taken any more, the last line goes out. */
type State = "new" | "proved" | "ended";

/** One connection: who is calling, its lines as messages, its messages as calls, until one side ends it. */
export class Session implements CallingSession {
  readonly #socket: Socket;
  readonly #from: string;
  readonly #limits: Limits;
  readonly #log: Log;
  readonly #end = new AbortController();
  readonly #lines: LineSplitter;
  readonly #calls: Calls;
  #timer: NodeJS.Timeout;
  #state: State = "new";
  #principal: Principal | null = null;

  constructor(socket: Socket, via: Via, rules: SessionRules) {
    this.#socket = socket;
    this.#from = socket.remoteAddress ?? (typeof via === "string" ? via : describePrincipal(via));
    this.#limits = rules.limits;
    this.#log = rules.log;
    this.#lines = new LineSplitter(rules.limits.strangerLineBytes);
    this.#calls = new Calls(this, { ...rules, maxCalls: rules.limits.calls });
    this.#timer = setTimeout(() => this.end(noCall(rules.limits.firstCallMs)), rules.limits.firstCallMs);
    socket.setNoDelay().setKeepAlive(true, keepAliveMs);
    socket.on("error", () => {}); // "close" follows, and is all there is to know.
    socket.once("end", () => this.close());
    socket.once("close", () => this.#stop());
    this.#open(via, rules).catch((error: unknown) => this.end(error));
  }

  get principal(): Principal | null {
    return this.#principal;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Whether it may be ended to make room for another: nobody waits for an answer on it. */
  get isExpendable(): boolean {
    return this.#state !== "proved";
  }

  prove(principal: Principal): void {
    if (this.#state !== "new") return;
    this.#state = "proved";
    this.#admit(principal);
    clearTimeout(this.#timer);
  }

  /** Says why, with `say` or by calling the method `error` of the other side, and ends. */
  end(error: unknown, say: (error: WireError) => void = this.#answer("error")): void {
    if (this.#state === "ended") return;
    const wire = toWire(error);
    this.#log.warn({ from: this.#from, code: wire.code, reason: wire.message }, "rpc.session.refused");
    say(wire);
    this.close();
  }

  /** Ends because this side does; whoever waits for an answer is told why. */
  leave(reason: MaestroError | undefined): void {
    if (reason) this.#answer("error")(toWire(reason));
    this.close();
  }

  /** Lets the other side read what was sent, for a moment, and takes nothing from it any more. */
  close(): void {
    this.#stop();
    if (this.#socket.destroyed) return;
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#limits.lingerMs);
    this.#socket.end();
    this.#socket.resume(); // Closing with unread bytes would reset the connection, and our last line with it.
  }

  destroy(): void {
    this.#stop();
    this.#socket.destroy();
  }

  #stop(): void {
    this.#state = "ended";
    clearTimeout(this.#timer);
    this.#end.abort();
  }

  async #open(via: Via, rules: SessionRules): Promise<void> {
    const caller = await recognize(this.#socket, via, rules);
    if (this.#state === "ended") return;
    if (caller.kind === "refused") return this.end(caller.error);
    if (caller.kind === "known") this.#admit(caller.principal);
    this.#log.debug({ from: this.#from }, "rpc.session.began");
    const methods = this.#calls.methods();
    const peer = new DnodePeer(methods, {
      onSend: (message) => this.#send(message),
      onFault: (error) => this.#log.error({ from: this.#from, err: error }, "rpc.session.fault"),
    });
    const offered = new Set<string | number>([...Object.keys(methods), ...Object.keys(methods).keys()]);
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk, peer, offered));
  }

  #admit(principal: Principal): void {
    this.#principal = principal;
    this.#lines.allow(this.#limits.lineBytes);
  }

  #receive(chunk: Buffer, peer: DnodePeer, offered: ReadonlySet<string | number>): void {
    if (this.#state === "ended") return;
    try {
      for (const line of this.#lines.push(chunk)) {
        this.#take(parseLine(line, this.#limits.depth), peer, offered);
        if (this.signal.aborted) return;
      }
    } catch (error) {
      this.end(error);
    }
  }

  #take(value: unknown, peer: DnodePeer, offered: ReadonlySet<string | number>): void {
    try {
      const message = parseMessage(value, this.#limits.callbacks);
      if (ignored.has(message.method)) return;
      if (offered.has(message.method)) peer.handle(message);
      else this.#answer(replyIdOf(value) ?? "error")(toWire(noOperation(message.method)));
    } catch (error) {
      this.end(error, this.#answer(replyIdOf(value) ?? "error"));
    }
  }

  #answer(method: number | "error"): (error: WireError) => void {
    return (error) => this.#send({ method, arguments: [error], callbacks: {}, links: [] });
  }

  #send(message: unknown): void {
    if (this.#state === "ended") return;
    if (this.#socket.writableLength > this.#limits.queuedBytes) {
      this.#log.warn({ from: this.#from, reason: "reads too slowly" }, "rpc.session.refused");
      this.destroy();
    } else this.#socket.write(`${JSON.stringify(message)}\n`);
  }
}

function noCall(withinMs: number): MaestroError {
  return new MaestroError("BAD_INPUT", `no call came within ${withinMs} ms`);
}

function noOperation(method: string | number): MaestroError {
  return new MaestroError("BAD_INPUT", `there is no operation "${method}"`, { operation: method });
}
