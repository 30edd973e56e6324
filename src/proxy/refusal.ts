import type { ServerResponse } from "node:http";

export type Body = { type: string; text: string };

/** Thrown when Maestro answers a request itself instead of an app. The message is what the client reads. */
export class Refusal extends Error {
  readonly status: number;
  /** Sent as `Retry-After`, in seconds. */
  readonly retryAfterS: number | undefined;

  constructor(status: number, message: string, options: ErrorOptions & { retryAfterS?: number } = {}) {
    super(message, options);
    this.status = status;
    this.retryAfterS = options.retryAfterS;
  }

  /** What the client reads, given what it says it reads (`Accept`). */
  body(_accept: string): Body {
    return { type: "text/plain; charset=utf-8", text: this.message };
  }
}

/** The client sees that its request is malformed or ambiguous; nothing of it goes any further (RFC 9112, 2.2 and 3). */
export function malformed(what: string): Refusal {
  return new Refusal(400, `Bad request: ${what}.`);
}

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

/** After these, nothing that follows on the connection can be trusted, or is worth to be read: it is closed. */
export function closesAfter({ status }: Refusal): boolean {
  return status === 400 || status === 408 || status === 413;
}

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
