import { once } from "node:events";
import type { Upstream } from "../../protocol/worker.ts";
import type { Connections } from "../passage.ts";
import type { Deadlines, Timed } from "./deadlines.ts";
import { type Reader, Wire } from "./wire.ts";

/** Node apps close a connection that was idle for 5 s: below it, so that no request meets the close half-way. */
const idleMs = 4000;
/** Connections to one instance that are kept while nobody uses them. */
const mostIdle = 256;

/** The kept connections to every instance. */
export class Pools implements Connections<Wire> {
  readonly #pools = new Map<string, Pool>();
  readonly #deadlines: Deadlines;

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  hasIdle(upstream: Upstream): boolean {
    return this.#to(upstream).hasIdle;
  }

  /** The latest used of those that are idle. */
  takeIdle(upstream: Upstream): Wire | null {
    return this.#to(upstream).take();
  }

  /** Rejects with the system error, or with the signal's reason. */
  async connect({ host, port }: Upstream, signal: AbortSignal): Promise<Wire> {
    const wire = Wire.connecting({ host, port }, waiting);
    try {
      await once(wire.socket, "connect", { signal });
      return wire;
    } catch (error) {
      wire.destroy();
      throw error;
    }
  }

  /** For the next request, unless the instance has left the routes by now. */
  keep(upstream: Upstream, wire: Wire): void {
    const pool = this.#pools.get(upstream.instance);
    if (pool?.leadsTo(upstream)) pool.keep(wire);
    else wire.destroy();
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
    const pool = new Pool(upstream, this.#deadlines);
    this.#pools.set(upstream.instance, pool);
    return pool;
  }
}

class Pool {
  readonly #upstream: Upstream;
  readonly #deadlines: Deadlines;
  readonly #idle: Idle[] = [];

  constructor(upstream: Upstream, deadlines: Deadlines) {
    this.#upstream = upstream;
    this.#deadlines = deadlines;
  }

  leadsTo({ host, port }: Upstream): boolean {
    return this.#upstream.host === host && this.#upstream.port === port;
  }

  get hasIdle(): boolean {
    return this.#idle.length > 0;
  }

  take(): Wire | null {
    const idle = this.#idle.pop();
    if (!idle) return null;
    this.#deadlines.delete(idle);
    return idle.wire;
  }

  keep(wire: Wire): void {
    if (this.#idle.length >= mostIdle) {
      wire.destroy();
      return;
    }
    const idle = new Idle(wire, this.#deadlines.in(idleMs), () => this.#drop(idle));
    this.#idle.push(idle);
    this.#deadlines.add(idle);
  }

  close(): void {
    for (const { wire } of [...this.#idle]) wire.destroy();
  }

  #drop(idle: Idle): void {
    const at = this.#idle.indexOf(idle);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#deadlines.delete(idle);
  }
}

/** A connection that waits for its next request. Whatever comes on it now is no answer to one: it is closed. */
class Idle implements Reader, Timed {
  readonly wire: Wire;
  readonly #onClose: () => void;
  dueAt: number;

  constructor(wire: Wire, dueAt: number, onClose: () => void) {
    this.wire = wire;
    this.dueAt = dueAt;
    this.#onClose = onClose;
    wire.reader = this;
  }

  onDue(): void {
    this.wire.destroy();
  }

  onBytes(): void {
    this.wire.destroy();
  }

  onEnd(): void {
    this.wire.destroy();
  }

  onClose(): void {
    this.#onClose();
  }
}

/** Whoever connects has said nothing yet: nothing that comes is meant for anybody. */
const waiting: Reader = { onBytes() {}, onEnd() {}, onClose() {} };
