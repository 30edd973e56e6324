import type { ServerResponse } from "node:http";
import { closesAfter, Refusal } from "../http/refusal.ts";

export { type Body, closesAfter, malformed, Refusal } from "../http/refusal.ts";

/** The app is not there, but may be again soon. */
export function away(host: string): Refusal {
  return new Refusal(503, `${host} is not available at the moment.`, { retryAfterS: 5 });
}

export function tooLarge({ maxBody }: { maxBody: number }): Refusal {
  return new Refusal(413, `The body of the request is too large; the limit is ${maxBody} bytes.`);
}

/** The app, or the client while its body was still to come, has let the time pass. */
export const lateAnswer = () => new Refusal(504, "The app did not answer in time.");
export const lateBody = () => new Refusal(408, "The body of the request came too slowly.");

/** Answers in Maestro's own name. */
export function answerPlain(response: ServerResponse, refusal: Refusal): void {
  const { status, retryAfterS } = refusal;
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { type, text } = refusal.body(response.req.headers.accept ?? "");
  const body = Buffer.from(text);
  response.setHeader("Content-Type", type);
  response.setHeader("Content-Length", body.length);
  if (retryAfterS !== undefined) response.setHeader("Retry-After", retryAfterS);
  if (closesAfter(refusal)) response.setHeader("Connection", "close");
  response.writeHead(status);
  response.end(body);
}
