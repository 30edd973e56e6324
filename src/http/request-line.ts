import { asterisk, byteAt, isTarget, isText, isToken, questionMark, slash, space } from "./characters.ts";
import { incomplete } from "./fields.ts";
import { malformed } from "./refusal.ts";

/** Others are left to the general path, which knows which of them are methods. */
const methods = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];
const version11 = "HTTP/1.1\r\n";
const version10 = "HTTP/1.0\r\n";

/** A request line (RFC 9112, 3), strictly: one space where there is one, and CRLF. */
export class RequestLine {
  method = "";
  targetStart = 0;
  targetEnd = 0;
  isOld = false;
  /** Well-formed, but of a kind that the general path is for. */
  isUncommon = false;

  /** Returns where the fields begin, or `incomplete`. Throws a `Refusal` for what is malformed. */
  read(bytes: Buffer, start: number, end: number): number {
    this.isUncommon = false;
    this.isOld = false;
    let at = start;
    while (at < end && isToken[byteAt(bytes, at)] === 1) at += 1;
    if (at === end) return incomplete;
    if (at === start || byteAt(bytes, at) !== space) throw malformed("it does not begin with a method");
    this.method = this.#methodAt(bytes, start, at);
    this.targetStart = at + 1;
    return this.#readTarget(bytes, at + 1, end);
  }

  /** Whether it asks for this path, with or without a query. */
  isFor(bytes: Buffer, path: string): boolean {
    const end = this.targetStart + path.length;
    const next = byteAt(bytes, end);
    return isText(bytes, this.targetStart, end, path) && (next === space || next === questionMark);
  }

  #methodAt(bytes: Buffer, start: number, end: number): string {
    for (const method of methods) if (isText(bytes, start, end, method)) return method;
    this.isUncommon = true;
    return bytes.toString("latin1", start, end);
  }

  #readTarget(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && isTarget[byteAt(bytes, at)] === 1) at += 1;
    // Beyond ASCII it is no URL, but some send it: all that matters here is where the line goes on.
    if (byteAt(bytes, at) >= 0x80) this.isUncommon = true;
    while (at < end && byteAt(bytes, at) > space && this.isUncommon) at += 1;
    if (at >= end) return incomplete;
    if (at === start || byteAt(bytes, at) !== space) throw malformed("the request target");
    this.targetEnd = at;
    if (byteAt(bytes, start) !== slash) this.#checkForm(bytes, start, at);
    return this.#readVersion(bytes, at + 1, end);
  }

  /** Not a path: `*` for the server as a whole, or a URL, which the general path looks into. */
  #checkForm(bytes: Buffer, start: number, end: number): void {
    const isAsterisk = byteAt(bytes, start) === asterisk && end - start === 1;
    if (!isAsterisk) this.isUncommon = true;
    else if (this.method !== "OPTIONS") throw malformed("the request target is neither a path nor a URL");
  }

  #readVersion(bytes: Buffer, start: number, end: number): number {
    for (let index = 0; index < version11.length; index += 1) {
      if (start + index >= end) return incomplete;
      const byte = byteAt(bytes, start + index);
      if (byte === version11.charCodeAt(index)) continue;
      if (byte !== version10.charCodeAt(index)) throw malformed("the HTTP version is not 1.0 or 1.1");
      this.isUncommon = true;
      this.isOld = true;
    }
    return start + version11.length;
  }
}
