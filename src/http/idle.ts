import { type Deadlines, never, type Timed } from "./deadlines.ts";
import type { Wire } from "./wire.ts";

/** A time for which nothing may move on some wires. What leaves slowly moves, too. */
export class Idle implements Timed {
  dueAt = never;
  readonly #wires: readonly Wire[];
  readonly #deadlines: Deadlines;
  readonly #onIdle: () => void;
  #ms = never;
  #pending = 0;

  constructor(wires: readonly Wire[], deadlines: Deadlines, onIdle: () => void) {
    this.#wires = wires;
    this.#deadlines = deadlines;
    this.#onIdle = onIdle;
    deadlines.add(this);
  }

  /** From now on it is `ms`. */
  limit(ms: number): void {
    this.#ms = ms;
    this.moved();
  }

  moved(): void {
    this.dueAt = this.#deadlines.in(this.#ms);
    this.#pending = this.#allPending();
  }

  onDue(): void {
    if (this.#allPending() === this.#pending) this.#onIdle();
    else this.moved();
  }

  end(): void {
    this.#deadlines.delete(this);
  }

  #allPending(): number {
    let all = 0;
    for (const { pending } of this.#wires) all += pending;
    return all;
  }
}
