import type { DrainLimits, InFlight, Upstream } from "../protocol/worker.ts";
import { drain } from "./drain.ts";
import { Claimed, type Instance, type Lease, type LeaseKind, type Ledger } from "./lease.ts";
import { Refusal } from "./refusal.ts";
import type { Route } from "./routes.ts";
import { SlowStart } from "./slow-start.ts";

/** Above all that can be in flight. */
const outOfUse = 1_000_000_000;

/** So often an instance may fail in a row. */
export const mostFailures = 3;

export type LeasesOptions = {
  /** Called whenever something that was under way has ended, or turned out to be a stream. */
  onEnd?(): void;
  /** An instance has been taken out. */
  onOut?(upstream: Upstream): void;
  slowStart?: SlowStart;
};

/**
 * What is under way at each instance. Claiming is synchronous with looking up the route, and a change of routes is
 * synchronous too: a drain that begins after a switch has every claim before it in its count, and none comes later.
 */
export class Leases implements Ledger {
  readonly #instances = new Map<string, Instance>();
  readonly #options: LeasesOptions;
  readonly #slowStart: SlowStart;

  constructor(options: LeasesOptions = {}) {
    this.#options = options;
    this.#slowStart = options.slowStart ?? new SlowStart();
  }

  /**
   * The upstream with the least requests in flight, equals in turn; `preferred` where that is well. Null when all are in
   * `except`. Throws a `Refusal` when the app has as many requests under way as it may.
   */
  claim(
    route: Route,
    kind: LeaseKind,
    except?: ReadonlySet<string>,
    preferred: string | null = null,
  ): Lease | null {
    const { upstreams } = route;
    let best: Upstream | undefined;
    let bestAt = 0;
    let least = Number.POSITIVE_INFINITY;
    let all = 0;
    for (let step = 0; step < upstreams.length; step += 1) {
      const at = (route.turn + step) % upstreams.length;
      const upstream = upstreams[at];
      if (!upstream) continue;
      const known = this.#instances.get(upstream.instance);
      all += known?.requests ?? 0;
      if (except?.has(upstream.instance)) continue;
      const load = upstream.instance === preferred && !known?.isOut ? -1 : this.#load(upstream, known);
      if (load >= least) continue;
      [best, bestAt, least] = [upstream, at, load];
    }
    if (!best) return null;
    if (all >= route.bounds.maxInFlight && kind === "request") throw overloaded();
    route.turn = bestAt + 1;
    return this.#take(best, kind);
  }

  /** Those that were taken out are better than nothing. */
  #load({ instance }: Upstream, known: Instance | undefined): number {
    const requests = known?.requests ?? 0;
    if (known?.isOut) return outOfUse + requests;
    return this.#slowStart.isOn ? requests / this.#slowStart.weightOf(instance) : requests;
  }

  isOut({ instance }: Upstream): boolean {
    return this.#instances.get(instance)?.isOut ?? false;
  }

  putBack({ instance: key }: Upstream): void {
    const instance = this.#instances.get(key);
    if (!instance) return;
    instance.isOut = false;
    instance.failures = 0;
    this.#tidy(key, instance);
  }

  /** The keys of those that were taken out. */
  out(): string[] {
    return [...this.#instances].filter(([, { isOut }]) => isOut).map(([key]) => key);
  }

  noteFailure(upstream: Upstream, instance: Instance): void {
    instance.failures += 1;
    if (instance.failures >= mostFailures) this.#takeOut(upstream, instance);
  }

  /** It was asked, and is not well. */
  takeOut(upstream: Upstream): void {
    this.#takeOut(upstream, this.#instance(upstream));
  }

  #takeOut(upstream: Upstream, instance: Instance): void {
    if (instance.isOut || !instance.isKept) return;
    instance.isOut = true;
    this.#options.onOut?.(upstream);
  }

  /** By instance key; those with nothing under way are left out. */
  inFlight(): Record<string, InFlight> {
    const busy = [...this.#instances].filter(([, instance]) => isBusy(instance));
    return Object.fromEntries(busy.map(([key]) => [key, this.at(key)]));
  }

  /** Forgets the instances that are not among these, each when nothing is under way there any more. */
  keepOnly(upstreams: readonly Upstream[]): void {
    const kept = new Set(upstreams.map(({ instance }) => instance));
    this.#slowStart.keepOnly(kept);
    for (const [key, instance] of this.#instances) {
      instance.isKept = kept.has(key);
      this.#tidy(key, instance);
    }
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

  changed({ instance: key }: Upstream, instance: Instance): void {
    if (!instance.isKept) this.#tidy(key, instance);
    if (instance.drains.size > 0) for (const waiting of instance.drains) waiting.check();
    this.#options.onEnd?.();
  }

  #tidy(key: string, instance: Instance): void {
    if (!instance.isKept && !isBusy(instance)) this.#instances.delete(key);
  }

  #take(upstream: Upstream, kind: LeaseKind): Lease {
    return new Claimed(upstream, this.#instance(upstream), kind, this);
  }

  #instance({ instance: key }: Upstream): Instance {
    let instance = this.#instances.get(key);
    if (!instance) {
      instance = { requests: 0, streams: 0, drains: new Set(), failures: 0, isOut: false, isKept: true };
      this.#instances.set(key, instance);
    }
    return instance;
  }
}

const overloaded = () =>
  new Refusal(503, "The app has too many requests under way; try again in a moment.", { retryAfterS: 1 });

function isBusy({ requests, streams }: Instance): boolean {
  return requests + streams > 0;
}
