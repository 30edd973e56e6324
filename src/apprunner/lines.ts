/** A longer line is given in pieces of this size, in bytes. */
const mostBytes = 64 * 1024;
const newline = 0x0a;

/**
 * Splits a byte stream into lines of text. Bytes are joined before they are decoded, so that a character that comes
 * in two chunks stays whole.
 */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  #pending: Buffer = Buffer.alloc(0);

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let rest = Buffer.concat([this.#pending, chunk]);
    for (
      let end = rest.indexOf(newline);
      end !== -1 || rest.length > mostBytes;
      end = rest.indexOf(newline)
    ) {
      const length = end === -1 || end > mostBytes ? mostBytes : end;
      this.#onLine(toText(rest.subarray(0, length)));
      rest = rest.subarray(length === end ? length + 1 : length);
    }
    this.#pending = rest;
  }

  /** Forgets the beginning of a line whose end will not come. */
  reset(): void {
    this.#pending = Buffer.alloc(0);
  }
}

/** A log that was shortened in place (`fallocate --punch-hole`) begins with NULs, which nobody wrote. */
export function toText(bytes: Buffer): string {
  return bytes.toString("utf8").replace(/^\0+/, "").replace(/\r$/, "");
}
