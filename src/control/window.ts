/**
 * How much may be under way to a receiver that says what it has taken, in bytes. Who sends is held back meanwhile: what
 * a slow receiver has not taken is in nobody's memory.
 */
export class Window {
  readonly #size: number;
  #room: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#size = size;
    this.#room = size;
  }

  /** Resolves when there is room, in the order of the calls. The last piece may be larger than the room. */
  async take(bytes: number): Promise<void> {
    if (this.#room <= 0 || this.#waiting.length > 0) await new Promise<void>((go) => this.#waiting.push(go));
    this.#room -= bytes;
    this.#next();
  }

  /** Never more than the size: what was not sent cannot have been taken. */
  give(bytes: number): void {
    this.#room = Math.min(this.#size, this.#room + bytes);
    this.#next();
  }

  #next(): void {
    if (this.#room > 0) this.#waiting.shift()?.();
  }

  /** Nobody is held back any more. */
  open(): void {
    this.#room = Number.POSITIVE_INFINITY;
    for (const go of this.#waiting.splice(0)) go();
  }
}
