import { type Body, bodyUntilClose, chunkedBody, countedBody, noBody } from "./body.ts";
import { byteAt, cr, isValue, lf, space, standsAt } from "./characters.ts";
import { ConnectionField } from "./connection-field.ts";
import { Fields, incomplete, kinds } from "./fields.ts";
import { Refusal } from "./refusal.ts";

/** Bytes that an answer's head may have. */
export const mostAnswerHead = 32_768;

/** What the head that a client gets says about the connection: it ends, or has become a tunnel. */
export type Ending = "kept" | "closed" | "upgraded";

const version = "HTTP/1.";
const eventStream = "text/event-stream";

/** An answer's head, as places in the bytes that it was read from and what it says. One is used again for every answer. */
export class ResponseHead {
  readonly fields = new Fields();
  readonly #connection = new ConnectionField();
  start = 0;
  /** Behind the status line. */
  fieldsStart = 0;
  /** Behind the empty line. */
  end = 0;
  status = 0;
  /** HTTP/1.0, which knows no chunks and keeps no connection. */
  isOld = false;
  isChunked = false;
  contentLength = -1;
  isEventStream = false;
  hasDate = false;

  /** False when more bytes are needed. Throws a `Refusal` with status 502 for what is not HTTP, or ambiguous. */
  read(bytes: Buffer, from: number, end: number): boolean {
    this.start = from;
    const fieldsStart = this.#readLine(bytes, from, end);
    if (fieldsStart === incomplete) return isWithin(end - from);
    this.fieldsStart = fieldsStart;
    const read = this.fields.read(bytes, fieldsStart, end);
    if (read === incomplete) return isWithin(end - from);
    if (read < 0 || read - from > mostAnswerHead) throw notHttp();
    this.end = read;
    this.#readFields(bytes);
    return true;
  }

  /** The instance keeps the connection. */
  get isKept(): boolean {
    return !this.isOld && !this.#connection.isClose;
  }

  /** Fields that `Connection` names, in lower case. */
  get named(): readonly string[] {
    return this.#connection.named;
  }

  get isInformation(): boolean {
    return this.status < 200;
  }

  /** RFC 9112, 6.3. */
  body(isForHead: boolean): Body {
    if (isForHead || this.status < 200 || this.status === 204 || this.status === 304) return noBody;
    if (this.isChunked) return chunkedBody();
    return this.contentLength === -1 ? bodyUntilClose() : countedBody(this.contentLength);
  }

  /** RFC 9112, 4: `HTTP/1.1 200 OK`, where the reason may be missing, and the space before it. */
  #readLine(bytes: Buffer, start: number, end: number): number {
    for (let index = 0; index < version.length; index += 1) {
      if (start + index === end) return incomplete;
      if (byteAt(bytes, start + index) !== version.charCodeAt(index)) throw notHttp();
    }
    let at = start + version.length;
    if (at + 5 >= end) return incomplete;
    const minor = byteAt(bytes, at) - 0x30;
    if ((minor !== 0 && minor !== 1) || byteAt(bytes, at + 1) !== space) throw notHttp();
    this.isOld = minor === 0;
    this.status = statusAt(bytes, at + 2);
    at += 5;
    if (byteAt(bytes, at) !== space && byteAt(bytes, at) !== cr) throw notHttp();
    while (at < end && isValue[byteAt(bytes, at)] === 1) at += 1;
    if (at + 1 >= end) return incomplete;
    if (byteAt(bytes, at) !== cr || byteAt(bytes, at + 1) !== lf) throw notHttp();
    return at + 2;
  }

  #readFields(bytes: Buffer): void {
    const { fields } = this;
    this.isChunked = false;
    this.contentLength = -1;
    this.isEventStream = false;
    this.hasDate = false;
    this.#connection.clear();
    for (let index = 0; index < fields.count; index += 1) {
      switch (fields.kind(index)) {
        case kinds.contentLength:
          if (this.contentLength !== -1) throw notHttp();
          this.contentLength = fields.number(bytes, index);
          if (this.contentLength === -1) throw notHttp();
          break;
        case kinds.transferEncoding:
          if (this.isChunked || !fields.valueIs(bytes, index, "chunked") || !fields.isPlain(bytes, index))
            throw notHttp();
          this.isChunked = true;
          break;
        case kinds.connection:
          this.#connection.add(fields, bytes, index);
          break;
        case kinds.contentType:
          this.isEventStream = standsAt(bytes, fields.valueStart(index), eventStream);
          break;
        case kinds.date:
          this.hasDate = true;
          break;
      }
    }
    if (this.isChunked && (this.contentLength !== -1 || this.isOld)) throw notHttp();
  }
}

export const notHttp = () => new Refusal(502, "The app gave an answer that is not HTTP.");

function statusAt(bytes: Buffer, at: number): number {
  let status = 0;
  for (let index = 0; index < 3; index += 1) {
    const digit = byteAt(bytes, at + index) - 0x30;
    if (digit < 0 || digit > 9) throw notHttp();
    status = status * 10 + digit;
  }
  if (status < 100) throw notHttp();
  return status;
}

/** Always false, for a head that is not whole; throws when it is too large to become one. */
function isWithin(length: number): false {
  if (length > mostAnswerHead) throw notHttp();
  return false;
}
