/**
 * Names that sort in the order in which they were given: milliseconds since 1970 in base 36 (8 characters until 2059).
 * None is given twice, and a clock that is set back does not change the order.
 */
export class Stamps {
  #last = 0;

  next(): string {
    this.#last = Math.max(Date.now(), this.#last + 1);
    return this.#last.toString(36);
  }

  /** A stamp that an earlier process gave: those to come are behind it. */
  seen(stamp: string): void {
    const time = /^[0-9a-z]{8}$/.test(stamp) ? Number.parseInt(stamp, 36) : 0;
    this.#last = Math.max(this.#last, time);
  }
}
