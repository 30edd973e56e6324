import { once } from "node:events";
import { connect } from "node:net";
import { type Deadlines, never, type Timed } from "./deadlines.ts";
import type { Open, Reader, Wire } from "./wire.ts";
import type { Wires } from "./wires.ts";

/** Node's servers close a connection that was idle for 5 s: below it, so that no request meets the close half-way. */
const idleMs = 4000;
/** A server that has gone without a word is found out within some 10 s, though nothing is sent to it meanwhile. */
const socketOptions = { noDelay: true, allowHalfOpen: true, keepAlive: true, keepAliveInitialDelay: 1000 };
/** Connections to one server that are kept while nobody uses them. */
const mostIdle = 256;

/** How connections are read and written, and who ends those that take too long. One a process. */
export type Transport = { wires: Wires; deadlines: Deadlines };

export type TcpAddress = { host: string; port: number };
/** Of a unix socket. */
export type UnixAddress = { path: string };

/** The connections to one server. Those that wait for a request are `idle`; the latest used is the last. */
export class Pool<Address extends TcpAddress | UnixAddress = TcpAddress | UnixAddress> {
  readonly address: Address;
  readonly idle: UpstreamConnection[] = [];
  /** All of them, and those that are about to be. */
  open = 0;
  readonly #transport: Transport;
  #isClosed = false;

  constructor(address: Address, transport: Transport) {
    this.address = address;
    this.#transport = transport;
  }

  /** A new one. Rejects with the system error, or with the signal's reason. */
  async connect(signal: AbortSignal): Promise<UpstreamConnection> {
    const { wires, deadlines } = this.#transport;
    this.open += 1;
    const socket = connect({ ...this.address, ...socketOptions }).pause();
    try {
      await once(socket, "connect", { signal });
      return new UpstreamConnection((reader) => wires.over(socket, reader), this, deadlines);
    } catch (error) {
      this.open -= 1;
      socket.destroy();
      throw error;
    }
  }

  take(): UpstreamConnection | null {
    return this.idle.pop() ?? null;
  }

  keep(connection: UpstreamConnection): boolean {
    if (this.#isClosed || this.idle.length >= mostIdle) return false;
    this.idle.push(connection);
    return true;
  }

  drop(connection: UpstreamConnection): void {
    const at = this.idle.indexOf(connection);
    if (at !== -1) this.idle.splice(at, 1);
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.idle]) connection.destroy(); // Each takes itself out.
  }
}

/** One connection to a server: lent to an exchange, or idle. Whatever comes while it is idle answers nobody. */
export class UpstreamConnection implements Reader, Timed {
  readonly wire: Wire;
  dueAt = never;
  readonly #pool: Pool;
  readonly #deadlines: Deadlines;
  #borrower: Reader | null = null;

  constructor(open: Open, pool: Pool, deadlines: Deadlines) {
    this.#pool = pool;
    this.#deadlines = deadlines;
    this.wire = open(this);
    deadlines.add(this);
  }

  /** From here on `borrower` is told what comes. */
  lend(borrower: Reader): void {
    this.dueAt = never;
    this.#borrower = borrower;
  }

  /** Nobody is told any more. It is kept for the next request, if the server still has one to expect. */
  giveBack(mayBeKept: boolean): void {
    this.#borrower = null;
    this.wire.isStreaming = false;
    if (!mayBeKept || !this.wire.isOpen || !this.#pool.keep(this)) this.destroy();
    else this.dueAt = this.#deadlines.in(idleMs);
  }

  /** It is read by somebody else until it closes. */
  giveAway(): Wire {
    this.#pool.open -= 1;
    this.#deadlines.delete(this);
    return this.wire;
  }

  destroy(): void {
    this.#pool.drop(this); // At once: until it has closed, somebody may look for an idle one.
    this.wire.destroy();
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#borrower) this.#borrower.onBytes(bytes, length);
    else this.destroy();
  }

  onEnd(): void {
    if (this.#borrower) this.#borrower.onEnd();
    else this.destroy();
  }

  onClose(): void {
    this.#deadlines.delete(this);
    this.#pool.open -= 1;
    this.#pool.drop(this);
    this.#borrower?.onClose();
  }

  onDue(): void {
    this.destroy();
  }
}
