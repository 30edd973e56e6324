import { space } from "../../http/characters.ts";
import { withoutPrefix } from "../mounts.ts";

const sent = /\r\nX-Forwarded-Prefix:[ \t]*([^\r\n]*)/gi;

/**
 * A request that has been composed, without a prefix that its target begins with: the app is told it in a field of its
 * own, behind what somebody before Maestro has taken off.
 */
export function strip(request: Buffer, prefix: string): Buffer {
  const start = request.indexOf(space) + 1;
  const targetEnd = request.indexOf(space, start);
  const headEnd = request.indexOf("\r\n\r\n", targetEnd);
  const target = withoutPrefix(request.toString("latin1", start, targetEnd), prefix);
  const rest = request.toString("latin1", targetEnd, headEnd);
  const before = [...rest.matchAll(sent)].map(([, value]) => value).join("");
  const head = `${request.toString("latin1", 0, start)}${target}${rest.replaceAll(sent, "")}`;
  const field = `\r\nX-Forwarded-Prefix: ${before}${prefix}`;
  return Buffer.concat([Buffer.from(head + field, "latin1"), request.subarray(headEnd)]);
}
