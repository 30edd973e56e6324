/** Somebody who wants to be called when a time has come. `dueAt`: by `Deadlines.in`, or `never`. */
export type Timed = { dueAt: number; onDue(): void };

export const never = Number.POSITIVE_INFINITY;

/** How exact a deadline is, ms. It is never early. */
const tickMs = 200;

/**
 * Time limits of connections. To set one is to store a number: what thousands of connections do at each request, where
 * one of Node's timers would have to be moved. Who is due is found by looking at all of them now and then.
 */
export class Deadlines {
  readonly #timed = new Set<Timed>();
  #now = performance.now();
  #timer: NodeJS.Timeout | undefined;

  in(ms: number): number {
    return this.#now + ms + tickMs;
  }

  add(timed: Timed): void {
    if (this.#timed.size === 0) this.#start();
    this.#timed.add(timed);
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed);
    if (this.#timed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #start(): void {
    this.#now = performance.now();
    this.#timer ??= setInterval(() => this.#tick(), tickMs);
  }

  #tick(): void {
    this.#now = performance.now();
    for (const timed of this.#timed) {
      if (timed.dueAt > this.#now) continue;
      timed.dueAt = never;
      timed.onDue();
    }
  }
}
