import type { Principal } from "../app/principal.ts";
import { MaestroError, toWire, type WireError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import type { DnodeFunction, DnodeMethods } from "../protocol/dnode.ts";
import { isToken } from "./caller.ts";
import { callOf2012, methodsOf2012 } from "./names-of-2012.ts";

/** What an operation may tell its caller before it ends, as functions in the input. */
const streams = ["onProgress", "onLine", "onStarted", "onOutput"] as const;
type Streams = Partial<Record<(typeof streams)[number], (value: unknown) => void>>;

/**
 * What an operation gets besides its input. `signal` aborts when the caller's session ends. `session`: what was begun
 * in a session belongs to it; no other can name it.
 */
export type CallContext = { principal: Principal; signal: AbortSignal; session: object } & Streams;

/** The table of operations, as this door needs it. Checks the input and whether this principal may. */
export type Dispatch = (operation: string, input: unknown, context: CallContext) => Promise<unknown>;

/** The session of these calls. */
export type CallingSession = {
  /** Null until the caller has shown the token. */
  readonly principal: Principal | null;
  readonly signal: AbortSignal;
  /** The caller has made a call that counts. */
  prove(principal: Principal): void;
  /** Says the error, then ends the session. */
  end(error: unknown, say: (error: WireError) => void): void;
};

export type CallRules = {
  operations: readonly string[];
  call: Dispatch;
  token?: string | undefined;
  maxCalls: number;
  log: Log;
};

type Call = {
  operation: string;
  input: unknown;
  streams: Record<string, DnodeFunction>;
  /** Absent: the caller does not want to know. */
  reply: DnodeFunction | undefined;
};

/** The calls of one session. Nothing that a caller sends and nothing that an operation does gets out of here. */
export class Calls {
  readonly #session: CallingSession;
  readonly #rules: CallRules;
  #pending = 0;

  constructor(session: CallingSession, rules: CallRules) {
    this.#session = session;
    this.#rules = rules;
  }

  /** What the session offers: each operation, the names of 2012, and `auth(token, cb)`. */
  methods(): DnodeMethods {
    const names = new Set([...this.#rules.operations, ...methodsOf2012]);
    const methods = Object.fromEntries(
      [...names].map((name) => [name, (...args: unknown[]) => this.#begin(readCall(name, args))]),
    );
    return { ...methods, auth: (...args: unknown[]) => this.#authenticate(readCall("auth", args)) };
  }

  #begin(call: Call): void {
    const { principal } = this.#session;
    if (principal === null) {
      const first = new MaestroError("UNAUTHORIZED", "this server asks for a token: call auth(token) first");
      this.#session.end(first, (error) => call.reply?.(error));
      return;
    }
    this.#session.prove(principal);
    if (this.#pending >= this.#rules.maxCalls) this.#fail(call, tooMany(this.#pending));
    else void this.#run(call, principal);
  }

  async #run(call: Call, principal: Principal): Promise<void> {
    const { signal } = this.#session;
    this.#pending++;
    try {
      const context = { ...this.#streamsOf(call), principal, signal, session: this.#session };
      const output = plain(await this.#rules.call(call.operation, call.input, context));
      call.reply?.(null, output);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#pending--;
    }
  }

  #authenticate({ input, reply }: Call): void {
    const { token } = this.#rules;
    const principal =
      token !== undefined && isToken(token, input)
        ? ({ kind: "admin", via: "token" } as const)
        : this.#session.principal;
    if (principal === null) {
      const wrong = new MaestroError(
        "UNAUTHORIZED",
        "this is not the token that the server was started with",
      );
      this.#session.end(wrong, (error) => reply?.(error));
      return;
    }
    this.#session.prove(principal);
    reply?.(null, {});
  }

  #fail({ operation, reply }: Call, failure: unknown): void {
    const error = plainError(failure);
    if (error.code === "INTERNAL" && !this.#session.signal.aborted) {
      this.#rules.log.error({ operation, err: failure }, "rpc.call.broke");
    } else if (reply === undefined) {
      this.#rules.log.warn({ operation, code: error.code, message: error.message }, "rpc.call.failed");
    }
    reply?.(error);
  }

  #streamsOf({ operation, streams: given }: Call): Streams {
    const guarded: Streams = {};
    for (const name of streams) {
      const tell = given[name];
      if (tell !== undefined) guarded[name] = (value) => this.#tell(tell, value, operation);
    }
    return guarded;
  }

  #tell(tell: DnodeFunction, value: unknown, operation: string): void {
    if (this.#session.signal.aborted) return;
    try {
      tell(plain(value));
    } catch (error) {
      this.#rules.log.error({ operation, err: error }, "rpc.stream.broke");
    }
  }
}

/** `name(input, cb)`, `name(cb)`, `name(input)`; functions in the input are taken out of it. */
function readCall(method: string, args: readonly unknown[]): Call {
  const reply = args.findLast(isFunction);
  const values = args.filter((arg) => !isFunction(arg));
  const { operation, input } = callOf2012(method, values) ?? { operation: method, input: values[0] ?? {} };
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return { operation, input, streams: {}, reply };
  }
  const entries: [string, unknown][] = Object.entries(input);
  return {
    operation,
    input: Object.fromEntries(entries.filter(([, value]) => !isFunction(value))),
    streams: Object.fromEntries(
      entries.filter((entry): entry is [string, DnodeFunction] => isFunction(entry[1])),
    ),
    reply,
  };
}

function isFunction(value: unknown): value is DnodeFunction {
  return typeof value === "function";
}

/** The value as JSON can carry it: no function of ours becomes callable from outside. Throws for BigInts and cycles. */
function plain(value: unknown): unknown {
  const json: string | undefined = JSON.stringify(value);
  return json === undefined ? null : JSON.parse(json);
}

function plainError(failure: unknown): WireError {
  try {
    const error = toWire(failure);
    return { ...error, details: plain(error.details) as WireError["details"] };
  } catch {
    return { code: "INTERNAL", message: "Maestro failed with an error that cannot be shown", details: {} };
  }
}

function tooMany(pending: number): MaestroError {
  return new MaestroError(
    "BUSY",
    `${pending} calls of this session wait for their answers; call again after them`,
    {
      pending,
    },
  );
}
