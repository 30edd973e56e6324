import { type Body, chunkedBody, countedBody, noBody } from "./body.ts";
import { byteAt, cr, isText, lf } from "./characters.ts";
import { ConnectionField } from "./connection-field.ts";
import { Fields, incomplete, kinds, tooManyFields } from "./fields.ts";
import { malformed, Refusal } from "./refusal.ts";
import { RequestLine } from "./request-line.ts";

/** Bytes that a head may usually have: Node's own limit, so that both paths of the proxy have the same. */
const usualMost = 16_384;

export const headTooLarge = () => new Refusal(431, "The head of the request is too large.");

const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);
const hostForm = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{0,5})?$/;

/**
 * A request's head, as places in the bytes that it was read from and what it says. One is used again for every
 * request: what is to be kept is taken out of it before the next is read.
 */
export class RequestHead {
  /** Bytes that one may have. */
  readonly most: number;
  readonly #isRemembering: boolean;
  /** The field section of the head before, with its empty line; null for one that does not mean the same elsewhere. */
  #before: Buffer | null = null;
  /** The fields are those of the head before, byte by byte, and so is what they say. */
  isLikeBefore = false;
  readonly fields = new Fields();
  readonly #line = new RequestLine();
  readonly #connection = new ConnectionField();
  /** Where the request line begins, behind empty lines that were sent before it (RFC 9112, 2.2). */
  start = 0;
  /** Behind the empty line. */
  end = 0;
  host = "";
  /** The field `Host`. */
  hostAt = -1;
  /** Well-formed, but of a kind that the general path is for. */
  isUncommon = false;
  isChunked = false;
  contentLength = 0;
  expectsContinue = false;
  /** The client asks for a tunnel of this protocol (RFC 9110, 7.8); null when it does not, or cannot have one. */
  upgrade: string | null = null;
  #hasUpgrade = false;

  /** `isRemembering`: for the requests of one connection, which repeat most of their heads. */
  constructor({ most = usualMost, isRemembering = false } = {}) {
    this.most = most;
    this.#isRemembering = isRemembering;
  }

  /** False when more bytes are needed. Throws a `Refusal` for what is malformed or ambiguous. */
  read(bytes: Buffer, from: number, end: number): boolean {
    const lineStart = skipEmptyLines(bytes, from, end);
    if (lineStart === end) return false;
    this.start = lineStart;
    const fieldsStart = this.#line.read(bytes, lineStart, end);
    this.isUncommon = this.#line.isUncommon;
    if (fieldsStart === incomplete) return this.#isWithin(end - lineStart);
    this.isLikeBefore = this.#isBeforeAt(bytes, fieldsStart, end);
    if (this.isLikeBefore) return true;
    this.#before = null; // Of what is read now a part may be all that comes.
    const read = this.fields.read(bytes, fieldsStart, end);
    if (read === incomplete) return this.#isWithin(end - lineStart);
    if (read === tooManyFields) throw headTooLarge();
    if (read < 0) throw malformed("a header is not a header");
    this.#isWithin(read - lineStart);
    this.end = read;
    this.#readFields(bytes);
    if (this.#isRemembering) this.#remember(bytes, fieldsStart);
    return true;
  }

  #isBeforeAt(bytes: Buffer, fieldsStart: number, end: number): boolean {
    const before = this.#before;
    if (before === null || this.isUncommon) return false;
    const sameEnd = fieldsStart + before.length;
    if (sameEnd > end || before.compare(bytes, fieldsStart, sameEnd) !== 0) return false;
    this.#isWithin(sameEnd - this.start);
    this.fields.moveTo(fieldsStart);
    this.end = sameEnd;
    return true;
  }

  /** What it says with any request line that is not uncommon: of `Upgrade` that depends on the method. */
  #remember(bytes: Buffer, fieldsStart: number): void {
    const isPlain = !this.isUncommon && !this.#hasUpgrade;
    this.#before = isPlain ? Buffer.from(bytes.subarray(fieldsStart, this.end)) : null;
  }

  /** The connection may carry another request after this one. */
  get isKept(): boolean {
    return !this.#connection.isClose;
  }

  /** Fields that `Connection` names, in lower case. */
  get named(): readonly string[] {
    return this.#connection.named;
  }

  get hasBody(): boolean {
    return this.isChunked || this.contentLength > 0;
  }

  get method(): string {
    return this.#line.method;
  }

  /** Whether it asks for this path, with or without a query. */
  isFor(bytes: Buffer, path: string): boolean {
    return this.#line.isFor(bytes, path);
  }

  /** What it asks for, with the query. */
  target(bytes: Buffer): string {
    return bytes.toString("latin1", this.#line.targetStart, this.#line.targetEnd);
  }

  /** Whether it may be sent once more when nobody knows what became of it. */
  get isRepeatable(): boolean {
    return !this.hasBody && safeMethods.has(this.method);
  }

  body(): Body {
    if (this.isChunked) return chunkedBody();
    return this.contentLength === 0 ? noBody : countedBody(this.contentLength);
  }

  /** Always false, for a head that is not whole; throws when it is too large to become one. */
  #isWithin(length: number): false {
    if (length > this.most) throw headTooLarge();
    return false;
  }

  #readFields(bytes: Buffer): void {
    const { fields } = this;
    this.hostAt = -1;
    this.isChunked = false;
    this.contentLength = 0;
    this.expectsContinue = false;
    this.upgrade = null;
    this.#connection.clear();
    let lengthAt = -1;
    let upgradeAt = -1;
    for (let index = 0; index < fields.count; index += 1) {
      switch (fields.kind(index)) {
        case kinds.host:
          if (this.hostAt !== -1) throw malformed("more than one Host header");
          this.hostAt = this.#plain(bytes, index);
          break;
        case kinds.contentLength:
          if (lengthAt !== -1) throw malformed("more than one Content-Length header");
          lengthAt = this.#plain(bytes, index);
          this.contentLength = fields.number(bytes, index);
          if (this.contentLength === -1) throw malformed("the Content-Length is not a number");
          break;
        case kinds.transferEncoding:
          this.#readTransferEncoding(bytes, index);
          break;
        case kinds.connection:
          this.#connection.add(fields, bytes, index);
          break;
        case kinds.upgrade:
          if (upgradeAt !== -1) this.isUncommon = true;
          upgradeAt = index;
          break;
        case kinds.expect:
          if (this.expectsContinue || !fields.valueIs(bytes, index, "100-continue")) this.isUncommon = true;
          this.expectsContinue = true;
          break;
      }
    }
    this.#hasUpgrade = upgradeAt !== -1;
    if (this.isChunked && lengthAt !== -1) throw malformed("both Content-Length and Transfer-Encoding");
    this.#readHost(bytes);
    if (this.#connection.isUpgrade && upgradeAt !== -1) this.#readUpgrade(fields.value(bytes, upgradeAt));
  }

  #readTransferEncoding(bytes: Buffer, index: number): void {
    if (this.isChunked) throw malformed("more than one Transfer-Encoding header");
    if (!this.fields.valueIs(bytes, index, "chunked"))
      throw malformed("the only Transfer-Encoding is chunked");
    if (this.#line.isOld) throw malformed("HTTP/1.0 knows no Transfer-Encoding");
    this.#plain(bytes, index);
    this.isChunked = true;
  }

  #plain(bytes: Buffer, index: number): number {
    if (!this.fields.isPlain(bytes, index)) throw malformed("blanks around what frames or routes it");
    return index;
  }

  #readHost(bytes: Buffer): void {
    if (this.hostAt === -1) {
      if (!this.isUncommon) throw malformed("there is no Host header");
      return;
    }
    const { fields } = this;
    const start = fields.valueStart(this.hostAt);
    const end = fields.valueEnd(this.hostAt);
    // Mostly it is that of the request before, which has been looked at.
    if (end > start && isText(bytes, start, end, this.host)) return;
    const host = bytes.toString("latin1", start, end);
    if (!hostForm.test(host)) throw malformed("the Host header is not a host");
    this.host = host;
  }

  /** One with a body is forwarded without its `Upgrade`, and so is h2c: it would carry requests that nobody checks. */
  #readUpgrade(protocol: string): void {
    if (this.method !== "GET" || this.hasBody || protocol === "" || protocol.toLowerCase() === "h2c") return;
    this.upgrade = protocol;
  }
}

function skipEmptyLines(bytes: Buffer, from: number, end: number): number {
  let at = from;
  while (at < end && byteAt(bytes, at) === cr) {
    if (at + 1 === end) return end; // The LF is still to come; the CR is seen again with it.
    if (byteAt(bytes, at + 1) !== lf) throw malformed("a CR without its LF");
    at += 2;
  }
  return at;
}
