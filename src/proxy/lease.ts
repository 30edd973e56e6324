import type { DrainLimits, InFlight, Upstream } from "../protocol/worker.ts";
import { type Drain, drain } from "./drain.ts";
import type { Route } from "./routes.ts";

/** A request is waited for until it is answered; a stream (WebSocket, event stream) has no such end. */
export type LeaseKind = "request" | "stream";

/** The right to send one exchange to an instance, from before the first byte until after the last. */
export type Lease = Disposable & {
  readonly upstream: Upstream;
  /** A request whose answer turns out to be an event stream. */
  becomeStream(): void;
  /** Once; later calls do nothing. */
  release(): void;
};

type Instance = { requests: number; streams: number; drains: Set<Drain> };

/**
 * What is under way at each instance. Claiming is synchronous with looking up the route, and a change of routes is
 * synchronous too: a drain that begins after a switch has every claim before it in its count, and none comes later.
 */
export class Leases {
  readonly #instances = new Map<string, Instance>();
  readonly #onEnd: () => void;

  /** `onEnd` is called whenever something that was under way has ended, or turned out to be a stream. */
  constructor(onEnd: () => void = () => {}) {
    this.#onEnd = onEnd;
  }

  /** The upstream with the least requests in flight, equals in turn; null when all of them are in `except`. */
  claim(route: Route, kind: LeaseKind, except?: ReadonlySet<string>): Lease | null {
    const { upstreams } = route;
    let best: Upstream | undefined;
    let bestAt = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let step = 0; step < upstreams.length; step += 1) {
      const at = (route.turn + step) % upstreams.length;
      const upstream = upstreams[at];
      if (!upstream || except?.has(upstream.instance)) continue;
      const requests = this.#instances.get(upstream.instance)?.requests ?? 0;
      if (requests >= least) continue;
      [best, bestAt, least] = [upstream, at, requests];
    }
    if (!best) return null;
    route.turn = bestAt + 1;
    return this.#take(best, kind);
  }

  /** By instance key; those with nothing under way are left out. */
  inFlight(): Record<string, InFlight> {
    return Object.fromEntries([...this.#instances.keys()].map((instance) => [instance, this.at(instance)]));
  }

  at(instance: string): InFlight {
    const { requests = 0, streams = 0 } = this.#instances.get(instance) ?? {};
    return { requests, streams };
  }

  /** Streams under way at all instances together. */
  get streams(): number {
    return this.#instances.values().reduce((sum, { streams }) => sum + streams, 0);
  }

  /** Waits until nothing is under way at the instance, or the limits have passed; resolves with what is left. */
  async drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    const waiting = drain(() => this.at(instance), limits);
    const drains = this.#instances.get(instance)?.drains;
    drains?.add(waiting);
    const left = await waiting.done;
    drains?.delete(waiting);
    return left;
  }

  #take(upstream: Upstream, kind: LeaseKind): Lease {
    const key = upstream.instance;
    const instance = this.#instances.get(key) ?? { requests: 0, streams: 0, drains: new Set() };
    this.#instances.set(key, instance);
    return new Claimed(upstream, instance, kind, () => {
      if (instance.requests + instance.streams === 0) this.#instances.delete(key);
      for (const waiting of instance.drains) waiting.check();
      this.#onEnd();
    });
  }
}

class Claimed implements Lease {
  readonly upstream: Upstream;
  readonly #instance: Instance;
  readonly #onChange: () => void;
  #kind: LeaseKind | "released";

  constructor(upstream: Upstream, instance: Instance, kind: LeaseKind, onChange: () => void) {
    this.upstream = upstream;
    this.#instance = instance;
    this.#kind = kind;
    this.#onChange = onChange;
    this.#count(1);
  }

  becomeStream(): void {
    if (this.#kind !== "request") return;
    this.#count(-1);
    this.#kind = "stream";
    this.#count(1);
    this.#onChange();
  }

  release(): void {
    if (this.#kind === "released") return;
    this.#count(-1);
    this.#kind = "released";
    this.#onChange();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #count(by: 1 | -1): void {
    if (this.#kind === "stream") this.#instance.streams += by;
    else this.#instance.requests += by;
  }
}
