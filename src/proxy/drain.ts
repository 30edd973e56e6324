import type { DrainLimits, InFlight } from "../protocol/worker.ts";

/** A wait for what is under way to end: requests and streams, each for as long as its limit says. */
export type Drain = {
  /** To be called whenever something has ended. */
  check(): void;
  /** Resolves with what is left. */
  readonly done: Promise<InFlight>;
};

/** Begins a wait. A request that becomes a stream after the streams' limit is not waited for any longer. */
export function drain(left: () => InFlight, { requestsMs, streamsMs }: DrainLimits): Drain {
  const { promise, resolve } = Promise.withResolvers<InFlight>();
  const passed = { requests: false, streams: false };
  const check = (): void => {
    const { requests, streams } = left();
    if (requests > 0 && !passed.requests) return;
    if (streams > 0 && !passed.streams) return;
    clearTimeout(requestsTimer);
    clearTimeout(streamsTimer);
    resolve({ requests, streams });
  };
  const requestsTimer = setTimeout(() => {
    passed.requests = true;
    check();
  }, requestsMs);
  const streamsTimer = setTimeout(() => {
    passed.streams = true;
    check();
  }, streamsMs);
  check();
  return { check, done: promise };
}
