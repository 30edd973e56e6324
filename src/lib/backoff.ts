/** Growing pauses: `first` ms, then `factor` times the last, never above `most` ms; each varied by ±`jitter`. */
export type BackoffOptions = { first: number; most: number; factor?: number; jitter?: number };

export type Backoff = { next(): number; reset(): void };

export function backoff({ first, most, factor = 2, jitter = 0 }: BackoffOptions): Backoff {
  let pause = first;
  return {
    next() {
      const now = pause;
      pause = Math.min(most, pause * factor);
      return jitter === 0 ? now : now * (1 - jitter + 2 * jitter * Math.random());
    },
    reset() {
      pause = first;
    },
  };
}
