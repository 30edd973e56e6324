import { type Body, noBody } from "./body.ts";
import { endsLine, Gathered } from "./gathered.ts";
import { Malformed } from "./malformed.ts";
import { malformed, Refusal } from "./refusal.ts";
import { headTooLarge, RequestHead } from "./request.ts";
import type { Wire } from "./wire.ts";

/** Bytes that are kept for a client that sends more before it is its turn; then it is not read from. */
export const mostUnread = 65_536;

/** Who takes what an inbox reads. */
export type Taker = {
  readonly wire: Wire;
  /** Nothing more can be taken at the moment; `Inbox.goOn` is called when it can. */
  readonly isBusy: boolean;
  /** A whole head, and the body of which a part may have come with it: up to `body.passTo`. */
  onRequest(head: RequestHead, bytes: Buffer, body: Body): void;
  /** More of the body: from `from` up to `body.passTo`. */
  onBody(bytes: Buffer, from: number, body: Body): void;
  onMalformedBody(refusal: Refusal): void;
  onMalformedHead(refusal: Refusal): void;
  /** The beginning of a head, that may take its time. */
  onPartialHead(): void;
  /** A request for the general path, and what came after it. Who has no such path gets them as the others. */
  onUncommon?(unread: Buffer): void;
};

/** Read into again for each request; what is needed longer is taken out of it at once. */
const usualHead = new RequestHead();

/** What comes from a client, cut into requests. Each is read when the one before has been answered. */
export class Inbox {
  readonly #taker: Taker;
  readonly #head: RequestHead;
  readonly #unread = new Gathered();
  #body: Body = noBody;
  #isReadingHead = false;
  #isClosed = false;

  /** `head`: one that sets another limit; any number of inboxes can share it. */
  constructor(taker: Taker, head = usualHead) {
    this.#taker = taker;
    this.#head = head;
  }

  /** Not all of the latest request's body has come. */
  get isUnfinished(): boolean {
    return !this.#body.isComplete;
  }

  get isReadingHead(): boolean {
    return this.#isReadingHead;
  }

  take(bytes: Buffer, length: number): void {
    if (this.#isClosed) return;
    if (this.#unread.length === 0) this.#take(bytes, 0, length);
    else this.#takeMore(bytes, length);
  }

  /** Takes what had to wait. */
  goOn(): void {
    if (this.#unread.length > 0) this.#takeUnread();
    if (!this.#taker.isBusy) this.#taker.wire.resume();
  }

  /** Whatever else comes is dropped. Returns what has not been taken. */
  close(): Buffer {
    this.#isClosed = true;
    return this.#unread.take();
  }

  #takeMore(bytes: Buffer, length: number): void {
    this.#unread.add(bytes, 0, length);
    if (this.#taker.isBusy) this.#limitUnread();
    else if (endsLine(bytes, 0, length)) this.#takeUnread();
    else if (this.#unread.length > this.#head.most) this.#taker.onMalformedHead(headTooLarge());
  }

  #takeUnread(): void {
    const unread = this.#unread.take();
    this.#take(unread, 0, unread.length);
  }

  #take(bytes: Buffer, from: number, end: number): void {
    let at = from;
    while (at < end && !this.#isClosed) {
      if (this.#taker.isBusy) {
        this.#unread.add(bytes, at, end);
        this.#limitUnread();
        return;
      }
      at = this.#body.isComplete ? this.#takeHead(bytes, at, end) : this.#takeBody(bytes, at, end);
    }
  }

  #limitUnread(): void {
    if (this.#unread.length >= mostUnread) this.#taker.wire.pause();
  }

  /** Returns where what follows on it begins. */
  #takeHead(bytes: Buffer, from: number, end: number): number {
    const head = this.#head;
    try {
      if (!head.read(bytes, from, end)) this.#keepHead(bytes, from, end);
      else if (head.isUncommon && this.#taker.onUncommon) this.#taker.onUncommon(bytes.subarray(from, end));
      else return this.#begin(bytes, end);
    } catch (error) {
      this.#taker.onMalformedHead(refusalOf(error));
    }
    return end;
  }

  #keepHead(bytes: Buffer, from: number, end: number): void {
    this.#unread.add(bytes, from, end);
    if (!this.#isReadingHead) this.#taker.onPartialHead();
    this.#isReadingHead = true;
  }

  #begin(bytes: Buffer, end: number): number {
    this.#isReadingHead = false;
    const body = this.#head.body();
    const next = body.follow(bytes, this.#head.end, end);
    this.#body = body;
    this.#taker.onRequest(this.#head, bytes, body);
    return next;
  }

  #takeBody(bytes: Buffer, from: number, end: number): number {
    try {
      const next = this.#body.follow(bytes, from, end);
      this.#taker.onBody(bytes, from, this.#body);
      return next;
    } catch (error) {
      this.#taker.onMalformedBody(refusalOf(error));
      return end;
    }
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Malformed) return malformed(error.message);
  if (error instanceof Refusal) return error;
  throw error;
}
