import { lf } from "./characters.ts";

const empty = Buffer.alloc(0);

/** Bytes that have come but cannot be used yet: of a head that is not whole, or behind a request that is under way. */
export class Gathered {
  #bytes = empty;
  length = 0;

  /** The first `length` of them. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  add(bytes: Buffer, from: number, end: number): void {
    const length = this.length + end - from;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, this.length, from, end);
    this.length = length;
  }

  /** Takes all of them out. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.length);
    this.#bytes = empty;
    this.length = 0;
    return taken;
  }
}

/**
 * Whether a head that was not whole is worth reading again: only with the end of another line. Else whoever sends it
 * byte by byte would have it read from its beginning for each.
 */
export function endsLine(bytes: Buffer, from: number, end: number): boolean {
  const at = bytes.indexOf(lf, from);
  return at !== -1 && at < end;
}
