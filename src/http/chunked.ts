import type { Body } from "./body.ts";
import { byteAt, cr, hexDigits, lf, semicolon } from "./characters.ts";
import { ChunkExtension } from "./chunk-extension.ts";
import { Fields, incomplete, kinds } from "./fields.ts";
import { Gathered } from "./gathered.ts";
import { Malformed } from "./malformed.ts";

/** Digits of a chunk's size: as many as a number can tell exactly, less one (RFC 9112, 7.1, demands a limit). */
const mostDigits = 12;
/** Bytes that the trailers may have. */
const mostTrailers = 8192;

const fields = new Fields();

type State =
  | "size"
  | "extension"
  | "sizeLf"
  | "data"
  | "dataCr"
  | "dataLf"
  | "end"
  | "endLf"
  | "trailers"
  | "done";

/** The chunked coding (RFC 9112, 7.1). Strict: CRLF only, a limited size, and trailers that may be trailers. */
export class ChunkedBody implements Body {
  readonly isEndless = false;
  passTo = 0;
  tail: Buffer | null = null;
  #state: State = "size";
  #size = 0;
  #digits = 0;
  #extension: ChunkExtension | null = null;
  #trailers: Gathered | undefined;

  get isComplete(): boolean {
    return this.#state === "done";
  }

  follow(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && this.#state !== "done" && this.#state !== "trailers") {
      at = this.#state === "data" ? this.#data(at, end) : this.#framing(byteAt(bytes, at), at);
    }
    this.passTo = at;
    return this.#state === "trailers" ? this.#readTrailers(bytes, at, end) : at;
  }

  #data(at: number, end: number): number {
    const taken = Math.min(this.#size, end - at);
    this.#size -= taken;
    if (this.#size === 0) this.#state = "dataCr";
    return at + taken;
  }

  #framing(byte: number, at: number): number {
    switch (this.#state) {
      case "size":
        this.#sizeDigit(byte);
        break;
      case "extension":
        this.#extensionByte(byte);
        break;
      case "sizeLf":
        this.#expect(byte, lf, this.#size === 0 ? "end" : "data");
        break;
      case "dataCr":
        this.#expect(byte, cr, "dataLf");
        break;
      case "dataLf":
        this.#expect(byte, lf, "size");
        this.#digits = 0;
        break;
      case "end":
        if (byte !== cr) {
          this.#state = "trailers";
          return at;
        }
        this.#state = "endLf";
        break;
      default:
        this.#expect(byte, lf, "done");
    }
    return at + 1;
  }

  #sizeDigit(byte: number): void {
    const digit = hexDigits[byte] ?? 255;
    if (digit < 16) {
      this.#size = this.#digits === 0 ? digit : this.#size * 16 + digit;
      this.#digits += 1;
      if (this.#digits > mostDigits) throw new Malformed("a chunk is too large");
      return;
    }
    if (this.#digits === 0) throw new Malformed("a chunk has no size");
    if (byte === cr) this.#state = "sizeLf";
    else if (byte === semicolon) this.#beginExtension();
    else throw new Malformed("a chunk's size is not a number");
  }

  #beginExtension(): void {
    this.#extension = new ChunkExtension();
    this.#state = "extension";
  }

  #extensionByte(byte: number): void {
    if (byte === cr && this.#extension?.isWhole) this.#state = "sizeLf";
    else this.#extension?.add(byte);
  }

  #expect(byte: number, expected: number, next: State): void {
    if (byte !== expected) throw new Malformed("a chunk does not end where it should");
    this.#state = next;
  }

  /**
   * They are passed on when all of them are there, without those that are none of a trailer's business. Only whole lines
   * are judged: else a line that breaks off would mean another thing when it comes in another packet.
   */
  #readTrailers(bytes: Buffer, from: number, end: number): number {
    this.#trailers ??= new Gathered();
    const before = this.#trailers.length;
    this.#trailers.add(bytes, from, end);
    const linesEnd = bytes.lastIndexOf(lf, end - 1) + 1;
    const whole = linesEnd > from ? before + linesEnd - from : 0;
    const read = whole === 0 ? incomplete : fields.read(this.#trailers.bytes, 0, whole);
    if (read === incomplete) {
      this.#limit();
      return end;
    }
    if (read < 0 || read > mostTrailers) throw new Malformed("the trailers");
    this.tail = passableTrailers(this.#trailers.bytes);
    this.#state = "done";
    return from + read - before;
  }

  #limit(): void {
    if ((this.#trailers?.length ?? 0) > mostTrailers) throw new Malformed("the trailers are too long");
  }
}

const framing: readonly number[] = [kinds.contentLength, kinds.transferEncoding];

/** None that frames, routes or vouches for the message (RFC 9110, 6.5.1), and the empty line. */
function passableTrailers(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let index = 0; index < fields.count; index += 1) {
    if (framing.includes(fields.kind(index))) throw new Malformed("a trailer that would frame the message");
    if (fields.kind(index) !== kinds.other || isContent(bytes, index)) continue;
    parts.push(bytes.subarray(fields.start(index), fields.start(index + 1)));
  }
  return Buffer.concat([...parts, Buffer.from("\r\n")]);
}

function isContent(bytes: Buffer, index: number): boolean {
  const start = fields.start(index);
  return bytes.toString("latin1", start, start + 8).toLowerCase() === "content-";
}
