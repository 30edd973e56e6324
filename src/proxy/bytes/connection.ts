import type { Body } from "../../http/body.ts";
import { type Deadlines, never, type Timed } from "../../http/deadlines.ts";
import { Inbox, type Taker } from "../../http/inbox.ts";
import type { RequestHead } from "../../http/request.ts";
import { clientTimes } from "../../http/times.ts";
import type { Open, Reader, Wire } from "../../http/wire.ts";
import { closesAfter, Refusal } from "../refusal.ts";
import { plainAnswer, refusalFor } from "./answers.ts";
import { requestFor } from "./compose.ts";
import { ComposedRequest } from "./composed.ts";
import { countServed } from "./count.ts";
import { Exchange, type ExchangeOptions } from "./exchange.ts";
import type { Introduced } from "./introduction.ts";
import { Origin } from "./origin.ts";
import { splice } from "./splice.ts";

/** What the access log wants to know. */
export type Served = { exchange: Exchange; address: string };

export type ConnectionOptions = ExchangeOptions & {
  deadlines: Deadlines;
  isTrusted: (address: string) => boolean;
  onRequest(): void;
  onServed: ((served: Served) => void) | null;
  onClose(connection: ClientConnection): void;
  /** Takes over a client whose request is not for this path; `unread` is all that has come of it. */
  onUncommon(connection: ClientConnection, unread: Buffer): void;
};

/** One client's connection: its requests, one after the other, each in an exchange of its own. */
export class ClientConnection implements Reader, Taker, Timed {
  readonly wire: Wire;
  dueAt: number;
  /** Another request may follow on the connection. */
  isKept = true;
  readonly #options: ConnectionOptions;
  readonly #inbox = new Inbox(this);
  readonly #introduced: Introduced;
  #origin: Origin | null = null;
  #exchange: Exchange | null = null;
  #isHead = false;
  #isLeaving = false;
  #hasEnded = false;
  #isClosing = false;
  /** The latest answer has not left yet. */
  #isFlushing = false;
  #left: AbortController | null = null;
  #tunnel: Wire | null = null;

  /** `introduced`: what a balancer has said of the client. */
  constructor(open: Open, options: ConnectionOptions, introduced: Introduced = null) {
    this.#options = options;
    this.#introduced = introduced;
    this.dueAt = options.deadlines.in(clientTimes.idleMs);
    this.wire = open(this);
    options.deadlines.add(this);
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#inbox.take(bytes, length);
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#isClosing) return;
    if (!this.#exchange) this.#close();
    else if (this.isUnfinished) this.wire.destroy();
    else this.limit(clientTimes.halfClosedMs);
  }

  onClose(): void {
    this.#options.deadlines.delete(this);
    this.#left?.abort();
    const exchange = this.#takeExchange();
    exchange?.abandon();
    this.#served(exchange);
    this.#options.onClose(this);
  }

  onDue(): void {
    if (this.#isClosing || this.#hasEnded) this.wire.destroy();
    else if (this.#exchange) this.#exchange.late();
    else if (this.#inbox.isReadingHead)
      this.onMalformedHead(new Refusal(408, "The request came too slowly."));
    else this.#close();
  }

  /** What is under way goes on, and is the last. An idle client may have sent a request just now. */
  leave(): void {
    this.#isLeaving = true;
    this.isKept = false;
    if (!this.#exchange && !this.#isClosing) this.limit(clientTimes.leavingMs);
  }

  get origin(): Origin {
    this.#origin ??= new Origin(this.wire, this.#options.isTrusted, this.#introduced);
    return this.#origin;
  }

  /** Aborted when the client has gone. */
  left(): AbortSignal {
    this.#left ??= new AbortController();
    return this.#left.signal;
  }

  get isBusy(): boolean {
    if (this.#exchange === null) return this.#isFlushing;
    return this.#exchange.isWaiting || !this.isUnfinished;
  }

  /** Not all of the latest request's body has come. */
  get isUnfinished(): boolean {
    return this.#inbox.isUnfinished;
  }

  onRequest(head: RequestHead, bytes: Buffer, body: Body): void {
    this.#options.onRequest();
    const composed = requestFor(head, bytes, head.end, body.passTo, this.origin);
    const request = body.tail ? Buffer.concat([composed, body.tail]) : composed;
    // Whoever asks for a tunnel has no other use for the connection.
    this.isKept = head.isKept && head.upgrade === null && !this.#isLeaving;
    this.#isHead = head.method === "HEAD";
    this.unlimited();
    const bodyCame = body.passTo - head.end;
    const exchange = new Exchange(this, new ComposedRequest(head, request, bodyCame), this.#options);
    this.#exchange = exchange;
    try {
      exchange.begin();
    } catch (error) {
      exchange.refuse(refusalFor(error, head, bytes));
    }
  }

  onBody(bytes: Buffer, from: number, body: Body): void {
    this.#exchange?.send(bytes, from, body); // The rest of what has been answered already is dropped.
  }

  onMalformedBody(refusal: Refusal): void {
    const exchange = this.#takeExchange();
    exchange?.abandon();
    if (exchange === null || exchange.hasAnswered) this.wire.destroy();
    else this.onMalformedHead(refusal);
    this.#served(exchange);
  }

  onMalformedHead(refusal: Refusal): void {
    this.wire.write(plainAnswer(refusal, {}));
    this.#close();
  }

  onPartialHead(): void {
    this.limit(clientTimes.headMs);
  }

  onUncommon(unread: Buffer): void {
    this.#options.deadlines.delete(this);
    this.#inbox.close();
    this.#options.onUncommon(this, unread);
  }

  limit(ms: number): void {
    this.dueAt = this.#options.deadlines.in(this.#hasEnded ? Math.min(ms, clientTimes.halfClosedMs) : ms);
  }

  unlimited(): void {
    this.dueAt = never;
  }

  /** The exchange can take what has come meanwhile. */
  goOn(): void {
    this.#inbox.goOn();
  }

  /** The answer has been written. Who does not read its answers is not asked for more requests. */
  finish(): void {
    this.#served(this.#takeExchange());
    if (!this.isKept) this.#close();
    else if (this.wire.pending === 0) this.#next();
    else this.#nextWhenFlushed();
  }

  /** Answers in Maestro's own name. */
  refuse(refusal: Refusal): void {
    if (closesAfter(refusal) || (this.isUnfinished && this.#exchange?.isUncertain)) this.isKept = false;
    const accept = this.#exchange?.request.field("accept") ?? "";
    this.wire.write(plainAnswer(refusal, { isHead: this.#isHead, isKept: this.isKept, accept }));
    this.finish();
  }

  /** What has been written of the answer is not whole, and must be seen not to be, whatever was to mark its end. */
  cut(isEndless: boolean): void {
    if (isEndless) this.wire.reset();
    else this.wire.destroy();
  }

  becomeTunnel(upstream: Wire, isWebSocket: boolean, idleMs: number): void {
    this.#options.deadlines.delete(this);
    const unread = this.#inbox.close();
    if (unread.length > 0) upstream.write(unread);
    this.#tunnel = upstream;
    splice(this.wire, upstream, { isWebSocket, idleMs }, this.#options.deadlines, () => this.onClose());
    if (this.#hasEnded) this.wire.reader.onEnd();
    else this.wire.resume();
  }

  #nextWhenFlushed(): void {
    this.unlimited();
    this.#isFlushing = true;
    this.wire.pause();
    this.wire.whenFlushed(() => {
      this.#isFlushing = false;
      if (!this.#isClosing && this.wire.isOpen) this.#next();
    });
  }

  #next(): void {
    this.limit(this.#isLeaving ? clientTimes.leavingMs : clientTimes.idleMs);
    this.#inbox.goOn();
    if (this.#hasEnded && !this.#exchange) this.#close();
  }

  /** What follows on the connection means nothing, but it is read: else the answer could be lost with it. */
  #close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#inbox.close();
    this.limit(clientTimes.idleMs); // For the rest of the answer, when the client is slow.
    this.wire.end(() => this.limit(clientTimes.lingerMs));
    this.wire.resume();
  }

  #takeExchange(): Exchange | null {
    const exchange = this.#exchange;
    this.#exchange = null;
    return exchange;
  }

  #served(exchange: Exchange | null): void {
    if (!exchange) return;
    countServed(exchange, this.#tunnel);
    this.#options.onServed?.({ exchange, address: this.#origin?.address ?? "" });
  }
}
