import { MaestroError } from "../errors.ts";

const newline = 0x0a;
const startBytes = 1024;

/**
 * Cuts what a stranger sends into lines. What is kept of an unfinished line never costs more than twice its bytes,
 * however small the pieces are in which it comes.
 */
export class LineSplitter {
  #maxBytes: number;
  #kept = Buffer.alloc(0);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  allow(maxBytes: number): void {
    this.#maxBytes = maxBytes;
  }

  /** The lines that end in this chunk, without their newline, each valid until the next. Throws `BAD_INPUT`. */
  *push(chunk: Buffer): Generator<Buffer, void, void> {
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      const line = this.#finish(chunk.subarray(from, end));
      from = end + 1;
      yield line;
    }
    this.#keep(chunk.subarray(from));
  }

  #finish(rest: Buffer): Buffer {
    if (this.#length === 0) {
      this.#refuseAbove(rest.length);
      return rest;
    }
    this.#keep(rest);
    const line = this.#kept.subarray(0, this.#length);
    this.#kept = Buffer.alloc(0);
    this.#length = 0;
    return line;
  }

  #keep(part: Buffer): void {
    const length = this.#length + part.length;
    this.#refuseAbove(length);
    if (length > this.#kept.length) {
      const grown = Buffer.allocUnsafe(Math.max(startBytes, 2 * this.#kept.length, length));
      this.#kept.copy(grown, 0, 0, this.#length);
      this.#kept = grown;
    }
    part.copy(this.#kept, this.#length);
    this.#length = length;
  }

  #refuseAbove(length: number): void {
    if (length <= this.#maxBytes) return;
    throw new MaestroError("BAD_INPUT", `a line is longer than ${this.#maxBytes} bytes`);
  }
}

/**
 * The value of a line of JSON. Throws `BAD_INPUT`. The depth is counted in the bytes, before the parser, which takes
 * long and much memory for a megabyte of "[".
 */
export function parseLine(line: Buffer, maxDepth: number): unknown {
  if (depthOf(line, maxDepth) > maxDepth) {
    throw new MaestroError("BAD_INPUT", `a line nests deeper than ${maxDepth}`);
  }
  try {
    return JSON.parse(line.toString("utf8"));
  } catch (error) {
    throw new MaestroError("BAD_INPUT", "a line is not JSON", {}, { cause: error });
  }
}

const [quote, backslash, openArray, closeArray, openObject, closeObject] = Buffer.from('"\\[]{}');

/** How deep arrays and objects nest; counts no further than one beyond `enough`. */
function depthOf(line: Buffer, enough: number): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < line.length && deepest <= enough; at++) {
    const byte = line[at];
    if (inString) {
      if (byte === backslash) at++;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === openArray || byte === openObject) deepest = Math.max(deepest, ++depth);
    else if (byte === closeArray || byte === closeObject) depth--;
  }
  return deepest;
}
