import type { Piece } from "./log-file.ts";

/** A line of a log. */
export type Line = {
  text: string;
  /** The offset behind its newline. */
  end: number;
};

/** A longer line is given in pieces of this size, in bytes. */
const mostBytes = 64 * 1024;
const newline = 0x0a;

/**
 * Splits the bytes of a log into lines of text. Bytes are joined before they are decoded, so that a character that
 * comes in two chunks stays whole.
 */
export class LineSplitter {
  readonly #onLine: (line: Line) => void;
  #pending: Buffer = Buffer.alloc(0);
  /** The offset behind what is pending. */
  #end = 0;

  constructor(onLine: (line: Line) => void) {
    this.#onLine = onLine;
  }

  /** A piece that does not begin where the last one ended begins a line: the rest of the one before is gone. */
  push({ offset, bytes }: Piece): void {
    if (offset !== this.#end) this.#pending = Buffer.alloc(0);
    this.#end = offset + bytes.length;
    let rest = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    for (
      let end = rest.indexOf(newline);
      end !== -1 || rest.length > mostBytes;
      end = rest.indexOf(newline)
    ) {
      const length = end === -1 || end > mostBytes ? mostBytes : end;
      const taken = length === end ? length + 1 : length;
      this.#onLine({ text: toText(rest.subarray(0, length)), end: this.#end - rest.length + taken });
      rest = rest.subarray(taken);
    }
    this.#pending = rest;
  }
}

/** Less than a block of NULs may be left of a part that somebody shortened. */
export function toText(bytes: Buffer): string {
  return bytes.toString("utf8").replace(/^\0+/, "").replace(/\r$/, "");
}
