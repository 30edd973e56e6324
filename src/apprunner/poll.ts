import { setTimeout as pause } from "node:timers/promises";
import { type BackoffOptions, backoff } from "../lib/backoff.ts";

/**
 * Asks again and again, with growing pauses, until the answer is not null. For questions about foreign processes
 * that no event answers. Rejects with the signal's reason when that comes first.
 */
export async function poll<T>(
  ask: () => T | null | Promise<T | null>,
  pauses: BackoffOptions,
  signal?: AbortSignal,
): Promise<T> {
  const waits = backoff(pauses);
  for (;;) {
    signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== null) return answer;
    await pause(waits.next(), undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
  }
}
