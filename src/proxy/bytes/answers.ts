import { STATUS_CODES } from "node:http";
import type { Refusal } from "../refusal.ts";

/** Maestro's own answers, as bytes. A `HEAD` gets the head alone. */
export function plainAnswer(
  { status, message, retryAfterS }: Refusal,
  isHead: boolean,
  isKept: boolean,
): Buffer {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(message)}`,
    `Date: ${new Date().toUTCString()}`,
  ];
  if (retryAfterS !== undefined) lines.push(`Retry-After: ${retryAfterS}`);
  if (!isKept) lines.push("Connection: close");
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${isHead ? "" : message}`);
}

export const continueAnswer: Buffer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
