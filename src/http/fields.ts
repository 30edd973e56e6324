import { byteAt, colon, cr, isToken, isValue, lf, space, standsAt, tab } from "./characters.ts";

/** What a field's name means to whoever passes it on. */
export const kinds = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  /** Between two neighbours only (RFC 9110, 7.6.1). */
  hop: 5,
  upgrade: 6,
  expect: 7,
  requestId: 8,
  /** `Forwarded` and what came before it: believed only from those who are trusted. */
  forwarded: 9,
  forwardedFor: 10,
  forwardedProto: 11,
  forwardedHost: 12,
  forwardedPort: 13,
  date: 14,
  contentType: 15,
  forwardedPrefix: 16,
  authorization: 17,
  cookie: 18,
  setCookie: 19,
  wwwAuthenticate: 20,
  location: 21,
  trailer: 22,
  lastEventId: 23,
  /** By which a CouchDB that trusts a proxy is told who asks: nobody else may say it. */
  couchProxy: 24,
} as const;

const names: Record<string, number> = {
  host: kinds.host,
  "content-length": kinds.contentLength,
  "transfer-encoding": kinds.transferEncoding,
  connection: kinds.connection,
  "keep-alive": kinds.hop,
  "proxy-authenticate": kinds.hop,
  "proxy-authorization": kinds.hop,
  "proxy-connection": kinds.hop,
  te: kinds.hop,
  upgrade: kinds.upgrade,
  expect: kinds.expect,
  "x-request-id": kinds.requestId,
  forwarded: kinds.forwarded,
  "x-forwarded-for": kinds.forwardedFor,
  "x-forwarded-proto": kinds.forwardedProto,
  "x-forwarded-host": kinds.forwardedHost,
  "x-forwarded-port": kinds.forwardedPort,
  "x-forwarded-prefix": kinds.forwardedPrefix,
  date: kinds.date,
  "content-type": kinds.contentType,
  authorization: kinds.authorization,
  cookie: kinds.cookie,
  "set-cookie": kinds.setCookie,
  "www-authenticate": kinds.wwwAuthenticate,
  location: kinds.location,
  trailer: kinds.trailer,
  "last-event-id": kinds.lastEventId,
  "x-auth-couchdb-username": kinds.couchProxy,
  "x-auth-couchdb-roles": kinds.couchProxy,
  "x-auth-couchdb-token": kinds.couchProxy,
};

/** The known names by their length: most fields are of none, or differ in the first letter. */
const namesOfLength: (readonly [string, number])[][] = Array.from({ length: 32 }, (_, length) =>
  Object.entries(names).filter(([name]) => name.length === length),
);

function kindOf(bytes: Buffer, start: number, end: number): number {
  const candidates = namesOfLength[end - start];
  if (candidates === undefined) return kinds.other;
  for (const [name, kind] of candidates) if (standsAt(bytes, start, name)) return kind;
  return kinds.other;
}

/** More fields than anybody needs are a way to keep a reader busy. */
export const mostFields = 200;

const mostDigits = 15;

/** What `Fields.read` returns instead of a place. */
export const incomplete = -1;
export const malformedFields = -2;
export const tooManyFields = -3;

/**
 * A field section as places in the bytes that it was read from (RFC 9112, 5). Strict: lines end with CRLF, nothing
 * is folded, no space before the colon, no control characters. One is used again for every head.
 */
export class Fields {
  readonly #places = new Int32Array(4 * (mostFields + 1));
  readonly #kinds = new Uint8Array(mostFields);
  count = 0;
  /** Behind the last field: where the empty line begins. */
  end = 0;

  /** The same ones have come again, at another place. */
  moveTo(from: number): void {
    const by = from - this.start(0);
    for (let place = 0; place < 4 * this.count; place += 1)
      this.#places[place] = (this.#places[place] ?? 0) + by;
    this.end += by;
  }

  /** Returns where the bytes behind the empty line begin; `incomplete` may be read again with more bytes. */
  read(bytes: Buffer, from: number, end: number): number {
    this.count = 0;
    let at = from;
    for (;;) {
      if (at >= end) return incomplete;
      if (byteAt(bytes, at) === cr) return this.#finish(bytes, at, end);
      const nameStart = at;
      while (at < end && isToken[byteAt(bytes, at)] === 1) at += 1;
      if (at === end) return incomplete;
      if (at === nameStart || byteAt(bytes, at) !== colon) return malformedFields;
      const nameEnd = at;
      at += 1;
      while (at < end && isBlank(byteAt(bytes, at))) at += 1;
      const valueStart = at;
      while (at < end && isValue[byteAt(bytes, at)] === 1) at += 1;
      if (at === end) return incomplete;
      if (byteAt(bytes, at) !== cr) return malformedFields;
      if (at + 1 === end) return incomplete;
      if (byteAt(bytes, at + 1) !== lf) return malformedFields;
      let valueEnd = at;
      while (valueEnd > valueStart && isBlank(byteAt(bytes, valueEnd - 1))) valueEnd -= 1;
      at += 2;
      if (this.count === mostFields) return tooManyFields;
      this.#add(kindOf(bytes, nameStart, nameEnd), nameStart, nameEnd, valueStart, valueEnd);
    }
  }

  kind(index: number): number {
    return this.#kinds[index] ?? kinds.other;
  }

  /** Where the line begins: the one before it ends there. */
  start(index: number): number {
    return index === this.count ? this.end : (this.#places[4 * index] ?? 0);
  }

  nameLength(index: number): number {
    return (this.#places[4 * index + 1] ?? 0) - this.start(index);
  }

  valueStart(index: number): number {
    return this.#places[4 * index + 2] ?? 0;
  }

  valueEnd(index: number): number {
    return this.#places[4 * index + 3] ?? 0;
  }

  value(bytes: Buffer, index: number): string {
    return bytes.toString("latin1", this.valueStart(index), this.valueEnd(index));
  }

  /** The value as a decimal number that can be told exactly; -1 when it is none. */
  number(bytes: Buffer, index: number): number {
    const start = this.valueStart(index);
    const end = this.valueEnd(index);
    if (start === end || end - start > mostDigits) return -1;
    let number = 0;
    for (let at = start; at < end; at += 1) {
      const digit = byteAt(bytes, at) - 0x30;
      if (digit < 0 || digit > 9) return -1;
      number = number * 10 + digit;
    }
    return number;
  }

  /** Whether the value is `text`, which is in lower case, in whatever case. */
  valueIs(bytes: Buffer, index: number, text: string): boolean {
    const start = this.valueStart(index);
    return this.valueEnd(index) - start === text.length && standsAt(bytes, start, text);
  }

  /**
   * Whether nothing stands around the value but spaces before it. Blanks are allowed there, and yet there are readers
   * to whom `chunked` with a tab behind it is something else: what frames or routes a message is not passed on so.
   */
  isPlain(bytes: Buffer, index: number): boolean {
    if (this.valueEnd(index) + 2 !== this.start(index + 1)) return false;
    for (let at = this.start(index) + this.nameLength(index) + 1; at < this.valueStart(index); at += 1) {
      if (byteAt(bytes, at) !== space) return false;
    }
    return true;
  }

  /** Whether the field has a name of a list, in lower case. */
  isNamedIn(bytes: Buffer, index: number, list: readonly string[]): boolean {
    const start = this.start(index);
    const length = this.nameLength(index);
    return list.includes(bytes.toString("latin1", start, start + length).toLowerCase());
  }

  #add(kind: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const place = 4 * this.count;
    this.#kinds[this.count] = kind;
    this.#places[place] = nameStart;
    this.#places[place + 1] = nameEnd;
    this.#places[place + 2] = valueStart;
    this.#places[place + 3] = valueEnd;
    this.count += 1;
  }

  #finish(bytes: Buffer, at: number, end: number): number {
    if (at + 1 === end) return incomplete;
    if (byteAt(bytes, at + 1) !== lf) return malformedFields;
    this.end = at;
    return at + 2;
  }
}

function isBlank(byte: number): boolean {
  return byte === space || byte === tab;
}
