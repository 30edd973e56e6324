import { bucketCount, bucketOf, type TrafficCounts } from "../app/traffic.ts";

/** What one worker has done for one app. Nobody else writes here, so it takes no locks. */
export class AppCounts {
  #requests = 0;
  readonly #statuses = [0, 0, 0, 0, 0, 0];
  readonly #histogram = new Float64Array(bucketCount);
  #bytesIn = 0;
  #bytesOut = 0;

  record(status: number, tookMs: number, bytesIn: number, bytesOut: number): void {
    this.#requests += 1;
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
    const group = Math.min(5, Math.floor(status / 100));
    this.#statuses[group] = (this.#statuses[group] ?? 0) + 1;
    if (group === 0) return;
    const bucket = bucketOf(tookMs);
    this.#histogram[bucket] = (this.#histogram[bucket] ?? 0) + 1;
  }

  report(): TrafficCounts {
    const end = this.#histogram.findLastIndex((count) => count > 0) + 1;
    return {
      requests: this.#requests,
      statuses: [...this.#statuses],
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      histogram: [...this.#histogram.subarray(0, end)],
    };
  }
}
