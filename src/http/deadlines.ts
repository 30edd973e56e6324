/** Somebody who wants to be called when a time has come. `dueAt`: by `Deadlines.in`, or `never`. */
export type Timed = { dueAt: number; onDue(): void };

export const never = Number.POSITIVE_INFINITY;

/** How exact a deadline is, ms. It is never early. */
const tickMs = 200;

/**
 * Time limits of connections. To set one is to store a number: what thousands of connections do at each request, where
 * one of Node's timers would have to be moved. Who is due is found by looking at all of them now and then.
 *
 * Time is counted in ticks that have been seen: a worker that did not get to run for a while has not seen what its
 * clients did in it, and does not hold it against them.
 */
export class Deadlines {
  readonly #timed = new Set<Timed>();
  #ticks = 0;
  #timer: NodeJS.Timeout | undefined;

  in(ms: number): number {
    return this.#ticks + 1 + Math.ceil(ms / tickMs);
  }

  add(timed: Timed): void {
    this.#timed.add(timed);
    this.#timer ??= setInterval(() => this.#tick(), tickMs);
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed);
    if (this.#timed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#ticks += 1;
    for (const timed of this.#timed) {
      if (timed.dueAt > this.#ticks) continue;
      timed.dueAt = never;
      timed.onDue();
    }
  }
}
