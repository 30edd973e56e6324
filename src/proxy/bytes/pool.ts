import { once } from "node:events";
import { connect } from "node:net";
import type { Upstream } from "../../protocol/worker.ts";
import type { Connections } from "../passage.ts";
import { type Deadlines, never, type Timed } from "./deadlines.ts";
import type { Open, Reader, Wire } from "./wire.ts";
import type { Wires } from "./wires.ts";

/** Node apps close a connection that was idle for 5 s: below it, so that no request meets the close half-way. */
const idleMs = 4000;
/** Connections to one instance that are kept while nobody uses them. */
const mostIdle = 256;

/** The byte path's connections to every instance. */
export class Pools implements Connections<UpstreamConnection> {
  readonly #pools = new Map<string, Pool>();
  readonly #wires: Wires;
  readonly #deadlines: Deadlines;

  constructor(wires: Wires, deadlines: Deadlines) {
    this.#wires = wires;
    this.#deadlines = deadlines;
  }

  hasIdle(upstream: Upstream): boolean {
    return this.#to(upstream).idle.length > 0;
  }

  /** The latest used of those that are idle. */
  takeIdle(upstream: Upstream): UpstreamConnection | null {
    return this.#to(upstream).take();
  }

  /** Rejects with the system error, or with the signal's reason. */
  async connect(upstream: Upstream, signal: AbortSignal): Promise<UpstreamConnection> {
    const { host, port } = upstream;
    const socket = connect({ host, port, noDelay: true, allowHalfOpen: true }).pause();
    try {
      await once(socket, "connect", { signal });
      const open: Open = (reader) => this.#wires.over(socket, reader);
      return new UpstreamConnection(open, this.#to(upstream), this.#deadlines);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Instances that can no longer be claimed keep no idle connections: now, nor when what is under way has ended. */
  keepOnly(upstreams: readonly Upstream[]): void {
    const kept = new Set(upstreams.map(({ instance }) => instance));
    for (const [instance, pool] of this.#pools) {
      if (kept.has(instance)) continue;
      this.#pools.delete(instance);
      pool.close();
    }
  }

  #to(upstream: Upstream): Pool {
    const known = this.#pools.get(upstream.instance);
    if (known?.leadsTo(upstream)) return known;
    known?.close();
    const pool = new Pool(upstream);
    this.#pools.set(upstream.instance, pool);
    return pool;
  }
}

/** The connections to one instance that wait for a request; the latest used is the last. */
class Pool {
  readonly host: string;
  readonly port: number;
  readonly idle: UpstreamConnection[] = [];
  #isClosed = false;

  constructor({ host, port }: Upstream) {
    this.host = host;
    this.port = port;
  }

  leadsTo({ host, port }: Upstream): boolean {
    return this.host === host && this.port === port;
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

/** One connection to an instance: lent to an exchange, or idle. Whatever comes while it is idle answers nobody. */
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

  /** Nobody is told any more. It is kept for the next request, if the instance still has one to expect. */
  giveBack(mayBeKept: boolean): void {
    this.#borrower = null;
    this.wire.isStreaming = false;
    if (!mayBeKept || !this.wire.isOpen || !this.#pool.keep(this)) this.destroy();
    else this.dueAt = this.#deadlines.in(idleMs);
  }

  /** It is read by somebody else until it closes. */
  giveAway(): Wire {
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
    this.#pool.drop(this);
    this.#borrower?.onClose();
  }

  onDue(): void {
    this.destroy();
  }
}
