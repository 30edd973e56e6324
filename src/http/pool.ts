import { type Deadlines, never, type Timed } from "./deadlines.ts";
import { type Reader, Wire } from "./wire.ts";

/** Node's servers close a connection that was idle for 5 s: below it, so that no request meets the close half-way. */
const idleMs = 4000;
/** Connections to one server that are kept while nobody uses them. */
const mostIdle = 256;

export type TcpAddress = { host: string; port: number };
/** Of a unix socket. */
export type UnixAddress = { path: string };

/** The connections to one server. Those that wait for a request are `idle`; the latest used is the last. */
export class Pool<Address extends TcpAddress | UnixAddress = TcpAddress | UnixAddress> {
  readonly address: Address;
  readonly idle: UpstreamConnection[] = [];
  /** All of them. */
  open = 0;
  readonly #deadlines: Deadlines;
  #isClosed = false;

  constructor(address: Address, deadlines: Deadlines) {
    this.address = address;
    this.#deadlines = deadlines;
  }

  /** A new one. What is written to it leaves when it is connected; that it never will be is told by its close. */
  connect(): UpstreamConnection {
    this.open += 1;
    return new UpstreamConnection(this, this.#deadlines);
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
  /** Before that, nothing has left. */
  hasConnected = false;
  #borrower: Reader | null = null;

  constructor(pool: Pool, deadlines: Deadlines) {
    this.#pool = pool;
    this.#deadlines = deadlines;
    this.wire = Wire.connecting(pool.address, this);
    this.wire.socket.once("connect", () => {
      this.hasConnected = true;
    });
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
