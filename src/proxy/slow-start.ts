import type { Upstream } from "../protocol/worker.ts";

/** How long an instance that joins others takes to its full share, ms. */
const rampMs = 10_000;
/** What it begins with. */
const firstWeight = 0.1;

/**
 * An instance that has just started answers slowly: caches are empty, code is not compiled. Where it joins others that go on,
 * it takes its share little by little: at first one request at a time, while the others have ten. Instances that replace all others at once have nobody to leave the rest to.
 */
export class SlowStart {
  readonly #joined = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether any instance has not come to its full share. */
  get isOn(): boolean {
    return this.#joined.size > 0;
  }

  changed(before: readonly Upstream[], after: readonly Upstream[]): void {
    const known = new Set(before.map(({ instance }) => instance));
    if (!after.some(({ instance }) => known.has(instance))) return;
    for (const { instance } of after) if (!known.has(instance)) this.#joined.set(instance, this.#now());
  }

  /** From 0.1 to 1. */
  weightOf(instance: string): number {
    const joined = this.#joined.get(instance);
    if (joined === undefined) return 1;
    const share = (this.#now() - joined) / rampMs;
    if (share < 1) return firstWeight + (1 - firstWeight) * share;
    this.#joined.delete(instance);
    return 1;
  }

  keepOnly(kept: ReadonlySet<string>): void {
    for (const instance of this.#joined.keys()) if (!kept.has(instance)) this.#joined.delete(instance);
  }
}
