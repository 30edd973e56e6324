import { setTimeout as pause } from "node:timers/promises";
import type { RunStarted } from "../src/app/run-reports.ts";
import { MaestroError } from "../src/errors.ts";
import { unlessAborted } from "../src/lib/aborted.ts";
import { backoff } from "../src/lib/backoff.ts";
import type { Connection } from "./connection.ts";
import type { CallOptions, OperationName, Operations } from "./operations.ts";
import { closed } from "./session-errors.ts";
import { openSocket } from "./socket.ts";
import { SshHost } from "./ssh.ts";
import { isSsh } from "./ssh-address.ts";

export type { CallOptions, OperationName, Operations } from "./operations.ts";

/** `server`: "host:port", the path of a unix socket, or "ssh://user@host:port". `token`: what the server was given as `--rpc-token`. */
export type ConnectOptions = { server: string; token?: string };

/** Until the server has greeted, ms; by SSH a person may be asked something before. */
const greetingMs = 10_000;
const greetingBySshMs = 120_000;

/** A server that refuses connections may be at the moment between two versions of itself: tried again for so long, ms. */
const refusedMs = 1500;
/** One that has said that it is being replaced will be back, ms. */
const replacedMs = 60_000;
const pauses = { first: 50, most: 1000, factor: 1.5 };

/**
 * Opens a session with a server. The server ends one that makes no call within 10 s; after the first it may be idle.
 * Rejects with a `MaestroError`: `BAD_INPUT` for a wrong address, `UNAUTHORIZED` for a caller who may not, `INTERNAL`
 * when nobody is there.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const client = new Client(options);
  await client.opened;
  return client;
}

/** A session with a server, which outlives a reload of that server. From `connect`. */
export class Client {
  /** The host, when the session goes by SSH. */
  readonly ssh: SshHost | null;
  /** Rejects, as all calls then do, when the session cannot be had. */
  readonly opened: Promise<void>;
  readonly #options: ConnectOptions;
  readonly #closing = new AbortController();
  #connection: Promise<Connection> | null = null;

  /** Begins to open it. Whoever has something else to do meanwhile need not use `connect`: the first call waits. */
  constructor(options: ConnectOptions) {
    this.#options = options;
    this.ssh = isSsh(options.server) ? new SshHost(options.server) : null;
    this.opened = this.#patiently({}, async () => void (await this.#connected()));
    this.opened.catch(() => {}); // Who calls is told.
  }

  /**
   * Calls an operation. Rejects with the `MaestroError` that the server answers, or with `INTERNAL` when the session
   * ends before the answer. A server that is being replaced is asked again. Aborting `signal` ends the waiting with its
   * reason; the server goes on until `close`. What has told that it started is not asked again.
   */
  async call<Name extends OperationName>(
    name: Name,
    input: Operations[Name]["input"],
    options: CallOptions = {},
  ): Promise<Operations[Name]["output"]> {
    await (options.signal ? unlessAborted(options.signal, this.opened) : this.opened);
    let hasStarted = false;
    const noted = options.onStarted && {
      onStarted: (started: RunStarted) => {
        hasStarted = true;
        options.onStarted?.(started);
      },
    };
    const attempt = async () => (await this.#connected()).call(name, input, { ...options, ...noted });
    return this.#patiently(options, attempt, () => hasStarted);
  }

  /** Ends the session; what has no answer yet is rejected. */
  close(): void {
    this.#closing.abort();
    this.#connection?.then(
      (connection) => connection.close(),
      () => {}, // There was nothing to close.
    );
    this.ssh?.dispose();
  }

  /** The connection there is, or a new one when that has ended. */
  async #connected(): Promise<Connection> {
    if (this.#closing.signal.aborted) throw closed(this.#options.server);
    const known = await this.#connection?.catch(() => null);
    if (known && !known.hasEnded) return known;
    this.#connection = this.#open();
    return this.#connection;
  }

  /** Opens one connection to the server, and shows the token. */
  async #open(): Promise<Connection> {
    const { server, token } = this.#options;
    const patience = AbortSignal.timeout(this.ssh ? greetingBySshMs : greetingMs);
    const deadline = AbortSignal.any([patience, this.#closing.signal]);
    const link = this.ssh?.openSession() ?? (await openSocket(server, deadline));
    // Only now: by SSH it is loaded while the server lets this one in, which takes as long.
    const { greet } = await import("./connection.ts");
    const connection = await greet(link, server, deadline);
    if (token !== undefined) await connection.authenticate(token);
    return connection;
  }

  /** Tries again what met the moment in which nobody answers, because one version becomes the next. */
  async #patiently<T>(
    { signal, repeat = false }: CallOptions,
    attempt: () => Promise<T>,
    hasBegun = () => false,
  ): Promise<T> {
    const waits = backoff(pauses);
    let patience = { since: performance.now(), ms: 0 };
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const ms = patienceWith(error, repeat);
        if (ms === 0 || hasBegun()) throw error;
        // It begins anew when a session that had been there for long is lost.
        if (ms > patience.ms || ms === replacedMs) patience = { since: performance.now(), ms };
        const isOver = performance.now() - patience.since >= patience.ms;
        if (this.#closing.signal.aborted || signal?.aborted || isOver) throw error;
      }
      await pause(waits.next(), undefined, { ...(signal ? { signal } : {}) });
    }
  }
}

function patienceWith(error: unknown, repeat: boolean): number {
  if (!(error instanceof MaestroError)) return 0;
  if (error.details["retry"] === true || (repeat && error.details["lost"] === true)) return replacedMs;
  return error.details["why"] === "ECONNREFUSED" ? refusedMs : 0;
}
