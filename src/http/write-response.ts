import type { Fields } from "./fields.ts";
import { kinds } from "./fields.ts";
import type { Ending, ResponseHead } from "./response.ts";

const version = Buffer.from("HTTP/1.1");
const crlf = Buffer.from("\r\n");
const closeAndCrlf = Buffer.from("Connection: close\r\n\r\n");

/** Whether a field is for nobody but whoever passes the answer on. */
export type Withholds = (fields: Fields, bytes: Buffer, index: number) => boolean;

/** Writes the head that a client gets at the beginning of `into`; returns its length. `more`: lines besides its own. */
export function writeResponse(
  head: ResponseHead,
  bytes: Buffer,
  into: Buffer,
  ending: Ending,
  more = "",
  withholds: Withholds = withholdsNothing,
): number {
  const { fields } = head;
  const isUpgrade = ending === "upgraded";
  let at = 0;
  let runStart = head.start;
  if (head.isOld) {
    // Whatever the server speaks, what it says is passed on as ours (RFC 9112, 2.3).
    at = version.copy(into);
    runStart += version.length;
  }
  for (let index = 0; index < fields.count; index += 1) {
    if (staysInResponse(head, fields, bytes, index, isUpgrade) && !withholds(fields, bytes, index)) continue;
    at += bytes.copy(into, at, runStart, fields.start(index));
    runStart = fields.start(index + 1);
  }
  at += bytes.copy(into, at, runStart, fields.end);
  if (!head.hasDate && !head.isInformation) at += into.write(dateLine(), at, "latin1");
  if (more !== "") at += into.write(more, at, "latin1");
  return at + (ending === "closed" ? closeAndCrlf : crlf).copy(into, at);
}

const withholdsNothing: Withholds = () => false;

function staysInResponse(
  head: ResponseHead,
  fields: Fields,
  bytes: Buffer,
  index: number,
  isUpgrade: boolean,
): boolean {
  switch (fields.kind(index)) {
    case kinds.hop:
      return false;
    case kinds.connection:
    case kinds.upgrade:
      return isUpgrade;
    case kinds.contentLength:
      return head.status !== 204 && !head.isInformation;
    case kinds.transferEncoding:
      return head.status !== 204 && head.status !== 304 && !head.isInformation;
  }
  return head.named.length === 0 || isUpgrade || !fields.isNamedIn(bytes, index, head.named);
}

let date = "";
let dateSecond = 0;

/** RFC 9110, 6.6.1: an answer without a date gets one from whoever passes it on. */
function dateLine(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }
  return date;
}
