import { kinds } from "../../http/fields.ts";
import type { RequestHead } from "../../http/request.ts";
import { safeRequestId } from "../headers.ts";
import type { Origin } from "./origin.ts";
import { requestIdLength, writeRequestId } from "./request-id.ts";

/**
 * Heads as they are passed on: the runs of the old one that stay as they are, copied, and Maestro's own lines. A line
 * that is passed on is byte for byte what was sent.
 */

const upgradeLine = (protocol: string) => `Connection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
const crlf = Buffer.from("\r\n");

/** The head that an instance gets, followed by the `bodyEnd - bodyStart` bytes of the body that have come with it. */
export function requestFor(
  head: RequestHead,
  bytes: Buffer,
  bodyStart: number,
  bodyEnd: number,
  origin: Origin,
): Buffer {
  const { fields } = head;
  const idAt = requestIdAt(head, bytes);
  const ours = ourFields(head, bytes, origin);
  const most = head.end - head.start + ours.length + requestIdLength + bodyEnd - bodyStart;
  const composed = Buffer.allocUnsafe(most);
  let at = 0;
  let runStart = head.start;
  for (let index = 0; index < fields.count; index += 1) {
    if (staysInRequest(head, bytes, index, origin.isTrusted) || index === idAt) continue;
    at += bytes.copy(composed, at, runStart, fields.start(index));
    runStart = fields.start(index + 1);
  }
  at += bytes.copy(composed, at, runStart, fields.end);
  at += ours.copy(composed, at);
  if (idAt === -1) at += writeRequestId(composed, at);
  at += crlf.copy(composed, at);
  if (bodyEnd > bodyStart) at += bytes.copy(composed, at, bodyStart, bodyEnd);
  return at === most ? composed : composed.subarray(0, at);
}

/** But for the request's id. */
function ourFields(head: RequestHead, bytes: Buffer, origin: Origin): Buffer {
  const usual = origin.isTrusted
    ? Buffer.from(trustedFields(head, bytes, origin), "latin1")
    : origin.fieldsFor(head.host);
  if (head.upgrade === null) return usual;
  return Buffer.concat([usual, Buffer.from(upgradeLine(head.upgrade), "latin1")]);
}

function staysInRequest(head: RequestHead, bytes: Buffer, index: number, isTrusted: boolean): boolean {
  const { fields, named } = head;
  const kind = fields.kind(index);
  switch (kind) {
    case kinds.connection:
    case kinds.hop:
    case kinds.upgrade:
    case kinds.requestId:
    case kinds.forwardedFor:
      return false;
    case kinds.forwarded:
    case kinds.forwardedProto:
    case kinds.forwardedHost:
    case kinds.forwardedPort:
    case kinds.forwardedPrefix:
      if (!isTrusted) return false;
  }
  return named.length === 0 || !fields.isNamedIn(bytes, index, named);
}

/** The one request id that the client sent, if it is safe to be passed on. */
function requestIdAt({ fields, named }: RequestHead, bytes: Buffer): number {
  let found = -1;
  for (let index = 0; index < fields.count; index += 1) {
    if (fields.kind(index) !== kinds.requestId) continue;
    if (found !== -1) return -1;
    found = index;
  }
  if (found === -1 || !safeRequestId.test(fields.value(bytes, found))) return -1;
  return named.includes("x-request-id") ? -1 : found;
}

/** What is already there stays, and the address of the proxy that it came through is added. */
function trustedFields(head: RequestHead, bytes: Buffer, origin: Origin): string {
  const { fields, named } = head;
  let before = "";
  const there = new Set<number>();
  for (let index = 0; index < fields.count; index += 1) {
    const kind = fields.kind(index);
    if (named.length > 0 && fields.isNamedIn(bytes, index, named)) continue;
    there.add(kind);
    if (kind === kinds.forwardedFor) before += `${fields.value(bytes, index)}, `;
  }
  return [
    origin.forwardedFor(before),
    there.has(kinds.forwardedProto) ? "" : origin.forwardedProto(),
    there.has(kinds.forwardedHost) ? "" : origin.forwardedHost(head.host),
    there.has(kinds.forwardedPort) ? "" : origin.forwardedPort(),
  ].join("");
}
