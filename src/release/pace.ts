import { setImmediate as nextTurn } from "node:timers/promises";

const sliceMs = 5;

/**
 * Cuts long work into slices. Synchronous calls on small files cost a fraction of asynchronous ones (10,000 files:
 * 0.05 s for lstat(2) against 0.3 s), so they are used, and between slices everything else has its turn:
 * `if (pace.isDue()) await pace.rest()`.
 */
export class Pace {
  #sliceEnds = performance.now() + sliceMs;

  isDue(): boolean {
    return performance.now() >= this.#sliceEnds;
  }

  async rest(): Promise<void> {
    await nextTurn();
    this.#sliceEnds = performance.now() + sliceMs;
  }
}
