import { z } from "zod";

/** Latencies are counted in buckets, four to each doubling: what workers have counted can be added up. */
const firstMs = 0.125;
export const bucketCount = 80;

/** The bucket of a latency; the last takes all that is longer, from 90 s on. */
export function bucketOf(ms: number): number {
  if (ms <= firstMs) return 0;
  return Math.min(bucketCount - 1, Math.ceil(4 * Math.log2(ms / firstMs)));
}

/** The longest latency that a bucket takes, ms. */
export const bucketMs = (bucket: number): number => firstMs * 2 ** (bucket / 4);

/** Below which that share of the latencies lies, ms; null when there are none. Exact to a fifth. */
export function percentile(histogram: readonly number[], share: number): number | null {
  const all = histogram.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (const [bucket, count] of histogram.entries()) {
    seen += count;
    if (count > 0 && seen >= share * all) return bucketMs(bucket);
  }
  return null;
}

/** What has been done for one app since its worker, or workers, started. */
export const TrafficCounts = z.object({
  /** That have ended, streams too. */
  requests: z.int(),
  /** How many had a status of 1xx, 2xx, …; the first: those without an answer, because the client left. */
  statuses: z.array(z.int()),
  /** Bytes of bodies, as they were sent, from clients and to them; of tunnels all. */
  bytesIn: z.int(),
  bytesOut: z.int(),
  /** How long answers took to begin, by bucket. */
  histogram: z.array(z.int()),
});
export type TrafficCounts = z.infer<typeof TrafficCounts>;

export const noTraffic: TrafficCounts = {
  requests: 0,
  statuses: [0, 0, 0, 0, 0, 0],
  bytesIn: 0,
  bytesOut: 0,
  histogram: [],
};

export function addTraffic(a: TrafficCounts, b: TrafficCounts, sign: 1 | -1 = 1): TrafficCounts {
  const sum = (x: readonly number[], y: readonly number[]) =>
    Array.from({ length: Math.max(x.length, y.length) }, (_, at) => (x[at] ?? 0) + sign * (y[at] ?? 0));
  return {
    requests: a.requests + sign * b.requests,
    statuses: sum(a.statuses, b.statuses),
    bytesIn: a.bytesIn + sign * b.bytesIn,
    bytesOut: a.bytesOut + sign * b.bytesOut,
    histogram: sum(a.histogram, b.histogram),
  };
}

/** An app's traffic, all workers together. */
export const AppTraffic = TrafficCounts.extend({
  app: z.string(),
  instances: z.int(),
  /** Under way now. */
  inFlight: z.object({ requests: z.int(), streams: z.int() }),
  /** How long answers took to begin, ms; null before the first. */
  latencyMs: z.object({ p50: z.number().nullable(), p99: z.number().nullable() }),
});
export type AppTraffic = z.infer<typeof AppTraffic>;

/** `at`: ISO 8601. `workers`: those that have answered. */
export const TrafficReport = z.object({ at: z.string(), workers: z.int(), apps: z.array(AppTraffic) });
export type TrafficReport = z.infer<typeof TrafficReport>;
