/**
 * Splits a byte stream into lines of JSON (ndjson). A line above `maxBytes` or one that does not parse ends the
 * stream with an error: whoever sends such a line is not a peer that can be followed any further.
 */
export type JsonLinesOptions = { maxBytes: number; onValue(value: unknown): void };

export class JsonLines {
  readonly #maxBytes: number;
  readonly #onValue: (value: unknown) => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor({ maxBytes, onValue }: JsonLinesOptions) {
    this.#maxBytes = maxBytes;
    this.#onValue = onValue;
  }

  /** Throws `RangeError` for a line that is too long and `SyntaxError` for one that is not JSON. */
  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      this.#keep(chunk.subarray(from, end));
      const line = Buffer.concat(this.#pending).toString("utf8");
      this.#pending = [];
      this.#pendingBytes = 0;
      from = end + 1;
      if (line.trim() !== "") this.#onValue(JSON.parse(line));
    }
    if (from < chunk.length) this.#keep(Buffer.from(chunk.subarray(from)));
  }

  #keep(part: Buffer): void {
    this.#pendingBytes += part.length;
    if (this.#pendingBytes > this.#maxBytes) {
      throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
    }
    this.#pending.push(part);
  }
}
