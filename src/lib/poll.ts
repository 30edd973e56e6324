import { setTimeout as pause } from "node:timers/promises";
import { type BackoffOptions, backoff } from "./backoff.ts";

export type PollOptions = {
  /** Ends the asking: `poll` rejects with its reason. */
  signal?: AbortSignal;
  /** False: a pause does not keep this process alive. */
  ref?: boolean;
};

/**
 * Asks again and again, with growing pauses, until the answer is not null. For questions about foreign processes
 * that no event answers.
 */
export async function poll<T>(
  ask: () => T | null | Promise<T | null>,
  pauses: BackoffOptions,
  { signal, ref = true }: PollOptions = {},
): Promise<T> {
  const waits = backoff(pauses);
  for (;;) {
    signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== null) return answer;
    await pause(waits.next(), undefined, signal ? { signal, ref } : { ref }).catch(() =>
      signal?.throwIfAborted(),
    );
  }
}
