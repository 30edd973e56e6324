import { malformed, Refusal } from "../refusal.ts";
import { type Body, chunkedBody, countedBody, noBody } from "./body.ts";
import { asterisk, byteAt, cr, isTarget, isToken, lf, questionMark, slash, space } from "./characters.ts";
import { Fields, incomplete, kinds, tooManyFields } from "./fields.ts";

/** Bytes that a head may have; Node's own limit, so that both paths have the same. */
export const mostHead = 16_384;

export const headTooLarge = () => new Refusal(431, "The head of the request is too large.");

/** Others are left to the general path, which knows which of them are methods. */
const methods = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
const safeMethods = new Set(["GET", "HEAD", "OPTIONS"]);
const version11 = "HTTP/1.1\r\n";
const version10 = "HTTP/1.0\r\n";
const hostForm = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{0,5})?$/;
/** Digits of a length: as many as a number can tell exactly. */
const lengthForm = /^\d{1,15}$/;

/**
 * A request's head, as places in the bytes that it was read from and what it says. One is used again for every
 * request: what is to be kept is taken out of it before the next is read.
 */
export class RequestHead {
  readonly fields = new Fields();
  /** Where the request line begins, behind empty lines that were sent before it (RFC 9112, 2.2). */
  start = 0;
  /** Behind the empty line. */
  end = 0;
  method = "";
  targetStart = 0;
  host = "";
  /** The field `Host`. */
  hostAt = -1;
  /** Well-formed, but of a kind that the general path is for. */
  isUncommon = false;
  isChunked = false;
  contentLength = 0;
  expectsContinue = false;
  /** The connection may carry another request after this one. */
  isKept = true;
  /** The client asks for a tunnel of this protocol (RFC 9110, 7.8); null when it does not, or cannot have one. */
  upgrade: string | null = null;
  /** Fields that `Connection` names, in lower case. */
  named: readonly string[] = none;

  /** False when more bytes are needed. Throws a `Refusal` for what is malformed or ambiguous. */
  read(bytes: Buffer, from: number, end: number): boolean {
    const lineStart = skipEmptyLines(bytes, from, end);
    if (lineStart === end) return false;
    this.start = lineStart;
    this.isUncommon = false;
    const fieldsStart = this.#readLine(bytes, lineStart, end);
    if (fieldsStart === incomplete) return isWithin(end - lineStart);
    const read = this.fields.read(bytes, fieldsStart, end);
    if (read === incomplete) return isWithin(end - lineStart);
    if (read === tooManyFields) throw headTooLarge();
    if (read < 0) throw malformed("a header is not a header");
    isWithin(read - lineStart);
    this.end = read;
    this.#readFields(bytes);
    return true;
  }

  get hasBody(): boolean {
    return this.isChunked || this.contentLength > 0;
  }

  /** Whether it asks for this path, with or without a query. */
  isFor(bytes: Buffer, path: string): boolean {
    const end = this.targetStart + path.length;
    const next = bytes[end];
    return isText(bytes, this.targetStart, end, path) && (next === space || next === questionMark);
  }

  /** Whether it may be sent once more when nobody knows what became of it. */
  get isRepeatable(): boolean {
    return !this.hasBody && safeMethods.has(this.method);
  }

  body(): Body {
    if (this.isChunked) return chunkedBody();
    return this.contentLength === 0 ? noBody : countedBody(this.contentLength);
  }

  /** Returns where the fields begin (RFC 9112, 3). */
  #readLine(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && isToken[byteAt(bytes, at)] === 1) at += 1;
    if (at === end) return incomplete;
    if (at === start || byteAt(bytes, at) !== space) throw malformed("it does not begin with a method");
    this.method = this.#methodAt(bytes, start, at);
    const targetStart = at + 1;
    this.targetStart = targetStart;
    at = targetStart;
    while (at < end && isTarget[byteAt(bytes, at)] === 1) at += 1;
    if (at === end) return incomplete;
    const targetEnd = at;
    if (byteAt(bytes, at) >= 0x80) {
      // Not a URL, but sent by some: where the line goes on is all that matters here.
      while (at < end && byteAt(bytes, at) > space) at += 1;
      if (at === end) return incomplete;
      this.isUncommon = true;
    }
    if (at === targetStart || byteAt(bytes, at) !== space) throw malformed("the request target");
    this.#checkTarget(bytes, targetStart, targetEnd);
    return this.#readVersion(bytes, at + 1, end);
  }

  #methodAt(bytes: Buffer, start: number, end: number): string {
    for (const method of methods) if (isText(bytes, start, end, method)) return method;
    this.isUncommon = true;
    return bytes.toString("latin1", start, end);
  }

  #checkTarget(bytes: Buffer, start: number, end: number): void {
    const first = byteAt(bytes, start);
    if (first === slash) return;
    if (first === asterisk && end - start === 1) {
      if (this.method === "OPTIONS") return;
      throw malformed("the request target is neither a path nor a URL");
    }
    this.isUncommon = true;
  }

  #readVersion(bytes: Buffer, start: number, end: number): number {
    const length = version11.length;
    for (let index = 0; index < length; index += 1) {
      if (start + index === end) return incomplete;
      const byte = byteAt(bytes, start + index);
      if (byte === version11.charCodeAt(index)) continue;
      if (byte !== version10.charCodeAt(index)) throw malformed("the HTTP version is not 1.0 or 1.1");
      this.isUncommon = true;
    }
    return start + length;
  }

  #readFields(bytes: Buffer): void {
    const { fields } = this;
    this.hostAt = -1;
    this.isChunked = false;
    this.contentLength = 0;
    this.expectsContinue = false;
    this.isKept = true;
    this.upgrade = null;
    this.named = none;
    let lengthAt = -1;
    let upgradeAt = -1;
    let isUpgrade = false;
    for (let index = 0; index < fields.count; index += 1) {
      switch (fields.kind(index)) {
        case kinds.host:
          if (this.hostAt !== -1) throw malformed("more than one Host header");
          this.hostAt = index;
          break;
        case kinds.contentLength:
          if (lengthAt !== -1) throw malformed("more than one Content-Length header");
          lengthAt = index;
          this.contentLength = lengthOf(fields.value(bytes, index));
          break;
        case kinds.transferEncoding:
          this.#readTransferEncoding(bytes, index);
          break;
        case kinds.connection:
          isUpgrade = this.#readConnection(fields.value(bytes, index)) || isUpgrade;
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
    if (this.isChunked && lengthAt !== -1) throw malformed("both Content-Length and Transfer-Encoding");
    this.#readHost(bytes);
    if (isUpgrade && upgradeAt !== -1) this.#readUpgrade(fields.value(bytes, upgradeAt));
  }

  #readTransferEncoding(bytes: Buffer, index: number): void {
    if (this.isChunked) throw malformed("more than one Transfer-Encoding header");
    if (!this.fields.valueIs(bytes, index, "chunked"))
      throw malformed("the only Transfer-Encoding is chunked");
    if (this.isUncommon && this.#isOld(bytes)) throw malformed("HTTP/1.0 knows no Transfer-Encoding");
    this.isChunked = true;
  }

  #isOld(bytes: Buffer): boolean {
    const lineEnd = this.fields.start(0);
    return byteAt(bytes, lineEnd - 3) === 0x30;
  }

  /** Returns whether the connection is to become another protocol's. */
  #readConnection(value: string): boolean {
    if (value === "keep-alive") return false;
    let isUpgrade = false;
    const named: string[] = [...this.named];
    for (const option of value.split(",")) {
      const name = option.trim().toLowerCase();
      if (name === "close") this.isKept = false;
      else if (name === "upgrade") isUpgrade = true;
      else if (name !== "keep-alive" && name !== "" && !neverNamed.has(name)) named.push(name);
    }
    if (named.length > 0) this.named = named;
    return isUpgrade;
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

const none: readonly string[] = [];

/** Whoever names these would make the message mean something else to the next reader. */
const neverNamed = new Set(["host", "content-length", "content-type", "transfer-encoding"]);

function skipEmptyLines(bytes: Buffer, from: number, end: number): number {
  let at = from;
  while (at < end && byteAt(bytes, at) === cr) {
    if (at + 1 === end) return end; // The LF is still to come; the CR is seen again with it.
    if (byteAt(bytes, at + 1) !== lf) throw malformed("a CR without its LF");
    at += 2;
  }
  return at;
}

function lengthOf(value: string): number {
  if (!lengthForm.test(value)) throw malformed("the Content-Length is not a number");
  return Number(value);
}

function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (byteAt(bytes, start + index) !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Always false, for a head that is not whole; throws when it is too large to become one. */
function isWithin(length: number): false {
  if (length > mostHead) throw headTooLarge();
  return false;
}
