import { STATUS_CODES } from "node:http";
import type { RequestHead } from "../../http/request.ts";
import { Refusal } from "../refusal.ts";

/** Maestro's own answers, as bytes. A `HEAD` gets the head alone. `accept`: what the client says it reads. */
export function plainAnswer(
  refusal: Refusal,
  { isHead = false, isKept = false, accept = "" }: { isHead?: boolean; isKept?: boolean; accept?: string },
): Buffer {
  const { status, retryAfterS } = refusal;
  const { type, text } = refusal.body(accept);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    `Content-Type: ${type}`,
    `Content-Length: ${Buffer.byteLength(text)}`,
    `Date: ${new Date().toUTCString()}`,
  ];
  if (retryAfterS !== undefined) lines.push(`Retry-After: ${retryAfterS}`);
  if (!isKept) lines.push("Connection: close");
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${isHead ? "" : text}`);
}

export const continueAnswer: Buffer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

/** The one answer that depends on the path: a load balancer's check reaches no app. */
export function refusalFor(error: unknown, head: RequestHead, bytes: Buffer): Refusal {
  if (!(error instanceof Refusal))
    return new Refusal(502, "The request could not be forwarded.", { cause: error });
  return error.status === 404 && head.isFor(bytes, "/_ping_") ? new Refusal(200, "pong") : error;
}
