import { ChunkedBody } from "./chunked.ts";

/**
 * Where a message's body ends (RFC 9112, 6). It is followed, not rewritten: of the bytes that come, those up to
 * `passTo` are passed on as they are, then `tail`; what begins at the returned place is of the next message.
 */
export type Body = {
  readonly isComplete: boolean;
  /** It ends with the connection. */
  readonly isEndless: boolean;
  /** Behind the last of the bytes that are passed on as they came. */
  readonly passTo: number;
  /** To be written after them, once: trailers, when all of them have come. */
  readonly tail: Buffer | null;
  /** Throws a `Malformed` when the framing is broken. */
  follow(bytes: Buffer, from: number, end: number): number;
};

class NoBody implements Body {
  readonly isComplete = true;
  readonly isEndless = false;
  readonly tail = null;
  passTo = 0;

  follow(_bytes: Buffer, from: number): number {
    this.passTo = from;
    return from;
  }
}

class CountedBody implements Body {
  readonly isEndless = false;
  readonly tail = null;
  passTo = 0;
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  follow(_bytes: Buffer, from: number, end: number): number {
    const taken = Math.min(this.#left, end - from);
    this.#left -= taken;
    this.passTo = from + taken;
    return this.passTo;
  }
}

class BodyUntilClose implements Body {
  readonly isEndless = true;
  readonly tail = null;
  passTo = 0;
  isComplete = false;

  follow(_bytes: Buffer, _from: number, end: number): number {
    this.passTo = end;
    return end;
  }

  close(): void {
    this.isComplete = true;
  }
}

/** It is complete before it has begun, whatever comes. */
export const noBody: Body = new NoBody();

export function countedBody(length: number): Body {
  return length === 0 ? noBody : new CountedBody(length);
}

export function chunkedBody(): Body {
  return new ChunkedBody();
}

/** An answer's whose end is the end of the connection. */
export function bodyUntilClose(): Body {
  return new BodyUntilClose();
}

/** The other side has closed its connection. Returns whether that is the end of the body, or has cut it off. */
export function closeBody(body: Body): boolean {
  if (body instanceof BodyUntilClose) body.close();
  return body.isComplete;
}
