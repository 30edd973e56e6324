import type { Body } from "./body.ts";
import { type Deadlines, never, type Timed } from "./deadlines.ts";
import { Inbox, type Taker } from "./inbox.ts";
import type { Refusal } from "./refusal.ts";
import type { RequestHead } from "./request.ts";
import { clientTimes } from "./times.ts";
import type { Open, Reader, Wire } from "./wire.ts";

/** A connection that brings requests, one after the other: what is waited for on it, how it goes on, and how it ends. */
export abstract class IncomingConnection implements Reader, Taker, Timed {
  readonly wire: Wire;
  dueAt: number;
  /** Another request may follow on the connection. */
  isKept = true;
  protected readonly inbox: Inbox;
  protected isLeaving = false;
  /** The other side says nothing more. */
  protected hasEnded = false;
  protected isClosing = false;
  /** The latest answer has not left yet. */
  protected isFlushing = false;
  readonly #deadlines: Deadlines;

  /** `head`: what its requests' heads are read into, as by `Inbox`. */
  constructor(open: Open, deadlines: Deadlines, head?: RequestHead) {
    this.#deadlines = deadlines;
    this.inbox = new Inbox(this, head);
    this.dueAt = deadlines.in(clientTimes.idleMs);
    this.wire = open(this);
    deadlines.add(this);
  }

  abstract get isBusy(): boolean;
  /** No request is under way. */
  protected abstract get isIdle(): boolean;

  abstract onRequest(head: RequestHead, bytes: Buffer, body: Body): void;
  abstract onBody(bytes: Buffer, from: number, body: Body): void;
  abstract onMalformedHead(refusal: Refusal): void;
  abstract onMalformedBody(refusal: Refusal): void;
  abstract onEnd(): void;
  abstract onClose(): void;
  abstract onDue(): void;

  /** Not all of the latest request's body has come. */
  get isUnfinished(): boolean {
    return this.inbox.isUnfinished;
  }

  onBytes(bytes: Buffer, length: number): void {
    this.inbox.take(bytes, length);
  }

  onPartialHead(): void {
    this.limit(clientTimes.headMs);
  }

  /** From now on it may stay as it is for so long, ms. */
  limit(ms: number): void {
    this.dueAt = this.#deadlines.in(this.hasEnded ? Math.min(ms, clientTimes.halfClosedMs) : ms);
  }

  unlimited(): void {
    this.dueAt = never;
  }

  /** Nobody is told any more when its time has come. */
  protected forgetTime(): void {
    this.#deadlines.delete(this);
  }

  /** What is under way goes on, and is the last. Who is idle may have sent a request just now. */
  leave(): void {
    this.isLeaving = true;
    this.isKept = false;
    if (this.isIdle && !this.isFlushing && !this.isClosing) this.limit(clientTimes.leavingMs);
  }

  /** What has been written of the answer is not whole, and must be seen not to be, whatever was to mark its end. */
  cut(isEndless: boolean): void {
    if (isEndless) this.wire.reset();
    else this.wire.destroy();
  }

  /** An answer has been written. Who does not read its answers is not asked for more requests. */
  protected answered(): void {
    if (!this.isKept) this.close();
    else if (this.wire.pending === 0) this.next();
    else this.#nextWhenFlushed();
  }

  #nextWhenFlushed(): void {
    this.unlimited();
    this.isFlushing = true;
    this.wire.pause();
    this.wire.whenFlushed(() => {
      this.isFlushing = false;
      if (!this.isClosing && this.wire.isOpen) this.next();
    });
  }

  protected next(): void {
    this.limit(this.isLeaving ? clientTimes.leavingMs : clientTimes.idleMs);
    this.inbox.goOn();
    if (this.hasEnded && !this.isBusy) this.close();
  }

  /** What follows on the connection means nothing, but it is read: else the answer could be lost with it. */
  protected close(): void {
    if (this.isClosing) return;
    this.isClosing = true;
    this.inbox.close();
    this.limit(clientTimes.idleMs); // For the rest of the answer, when it is read slowly.
    this.wire.end(() => this.limit(clientTimes.lingerMs));
    this.wire.resume();
  }
}
