export type Body = { type: string; text: string };

/** Thrown when Maestro answers a request itself, in the place of who was asked. The message is what the client reads. */
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

/** After these, nothing that follows on the connection can be trusted, or is worth to be read: it is closed. */
export function closesAfter({ status }: Refusal): boolean {
  return status === 400 || status === 408 || status === 413;
}
