import { Pool, type TcpAddress, type Transport, type UpstreamConnection } from "../../http/pool.ts";
import type { Upstream } from "../../protocol/worker.ts";
import type { Connections } from "../passage.ts";

/** The byte path's connections to every instance. */
export class Pools implements Connections<UpstreamConnection> {
  readonly #pools = new Map<string, Pool<TcpAddress>>();
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  hasIdle(upstream: Upstream): boolean {
    return this.#to(upstream).idle.length > 0;
  }

  /** The latest used of those that are idle. */
  takeIdle(upstream: Upstream): UpstreamConnection | null {
    return this.#to(upstream).take();
  }

  /** Rejects with the system error, or with the signal's reason. */
  connect(upstream: Upstream, signal: AbortSignal): Promise<UpstreamConnection> {
    return this.#to(upstream).connect(signal);
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

  #to(upstream: Upstream): Pool<TcpAddress> {
    const known = this.#pools.get(upstream.instance);
    const { host, port } = upstream;
    if (known && known.address.host === host && known.address.port === port) return known;
    known?.close();
    const pool = new Pool({ host, port }, this.#transport);
    this.#pools.set(upstream.instance, pool);
    return pool;
  }
}
