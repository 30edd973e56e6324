import { kinds } from "../../http/fields.ts";
import type { RequestHead } from "../../http/request.ts";
import { safeRequestId } from "../headers.ts";
import type { Origin } from "./origin.ts";
import { nextRequestId } from "./request-id.ts";

/**
 * Heads as they are passed on: the runs of the old one that stay as they are, copied, and Maestro's own lines. A line
 * that is passed on is byte for byte what was sent.
 */

const upgradeLine = (protocol: string) => `Connection: Upgrade\r\nUpgrade: ${protocol}\r\n`;

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
  let ours = origin.isTrusted ? trustedFields(head, bytes, origin) : origin.fieldsFor(head.host);
  ours = idAt === -1 ? `${ours}${nextRequestId()}\r\n` : ours.slice(0, -"X-Request-Id: ".length);
  if (head.upgrade !== null) ours += upgradeLine(head.upgrade);
  const composed = Buffer.allocUnsafe(head.end - head.start + ours.length + bodyEnd - bodyStart);
  let at = 0;
  let runStart = head.start;
  for (let index = 0; index < fields.count; index += 1) {
    if (staysInRequest(head, bytes, index, origin.isTrusted) || index === idAt) continue;
    at += bytes.copy(composed, at, runStart, fields.start(index));
    runStart = fields.start(index + 1);
  }
  at += bytes.copy(composed, at, runStart, fields.end);
  at += composed.write(ours, at, "latin1");
  composed[at] = 0x0d;
  composed[at + 1] = 0x0a;
  at += 2;
  if (bodyEnd > bodyStart) at += bytes.copy(composed, at, bodyStart, bodyEnd);
  return at === composed.length ? composed : composed.subarray(0, at);
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
    "X-Request-Id: ",
  ].join("");
}
