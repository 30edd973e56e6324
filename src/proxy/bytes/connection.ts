import { malformed, Refusal } from "../refusal.ts";
import { plainAnswer } from "./answers.ts";
import { type Body, noBody } from "./body.ts";
import { requestFor } from "./compose.ts";
import { type Deadlines, never, type Timed } from "./deadlines.ts";
import { Exchange, type ExchangeOptions } from "./exchange.ts";
import { endsLine, Gathered } from "./gathered.ts";
import { Malformed } from "./malformed.ts";
import { Origin } from "./origin.ts";
import { headTooLarge, mostHead, RequestHead } from "./request.ts";
import { splice } from "./splice.ts";
import type { Reader, Wire } from "./wire.ts";

/** How long a client may take for a request's head, ms. Bodies may take as long as they need. */
const headMs = 20_000;
/** How long an idle connection of a client is kept, ms. */
const keepAliveMs = 75_000;
/** While leaving: a connection on which nothing came for so long is closed, a busy client's next request is answered. */
const leavingKeepAliveMs = 1000;
/** Closing with bytes unread resets the connection, which can take the answer with it: they are read for so long, ms. */
const lingerMs = 1000;
/**
 * A client that has ended its side may wait for its answer, or have left: nothing tells until something is written
 * to it. It is given so long without a byte, ms.
 */
const halfClosedMs = 2000;
/** Bytes that are kept for a client that sends more before it is its turn; then it is not read from. */
const mostUnread = 65_536;

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

/** Read into again for each request; what is needed longer is taken out of it at once. */
const head = new RequestHead();

/** One client's connection: its requests, one after the other, each in an exchange of its own. */
export class ClientConnection implements Reader, Timed {
  readonly wire: Wire;
  dueAt: number;
  /** Another request may follow on the connection. */
  isKept = true;
  readonly #options: ConnectionOptions;
  readonly #unread = new Gathered();
  #origin: Origin | null = null;
  #exchange: Exchange | null = null;
  /** Of the latest request. */
  #body: Body = noBody;
  #isHead = false;
  #isReadingHead = false;
  #isLeaving = false;
  #hasEnded = false;
  #isClosing = false;
  /** The latest answer has not left yet. */
  #isFlushing = false;
  #left: AbortController | null = null;

  constructor(open: (reader: Reader) => Wire, options: ConnectionOptions) {
    this.#options = options;
    this.dueAt = options.deadlines.in(keepAliveMs);
    this.wire = open(this);
    options.deadlines.add(this);
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#isClosing) return;
    if (this.#unread.length === 0) this.#take(bytes, 0, length);
    else this.#takeMore(bytes, length);
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#isClosing) return;
    if (!this.#exchange) this.#close();
    else if (this.isUnfinished) this.wire.destroy();
    else this.limit(halfClosedMs);
  }

  onClose(): void {
    this.#options.deadlines.delete(this);
    this.#left?.abort();
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange) {
      exchange.abandon();
      this.#served(exchange);
    }
    this.#options.onClose(this);
  }

  onDue(): void {
    if (this.#isClosing || this.#hasEnded) this.wire.destroy();
    else if (this.#exchange) this.#exchange.late();
    else if (this.#isReadingHead) this.#refuseAndClose(new Refusal(408, "The request did not come in time."));
    else this.#close();
  }

  /** What is under way goes on, and is the last. An idle client may have sent a request just now. */
  leave(): void {
    this.#isLeaving = true;
    this.isKept = false;
    if (!this.#exchange && !this.#isClosing) this.limit(leavingKeepAliveMs);
  }

  /** Aborted when the client has gone. */
  left(): AbortSignal {
    this.#left ??= new AbortController();
    return this.#left.signal;
  }

  /** Not all of the latest request's body has come. */
  get isUnfinished(): boolean {
    return !this.#body.isComplete;
  }

  limit(ms: number): void {
    this.dueAt = this.#options.deadlines.in(this.#hasEnded ? Math.min(ms, halfClosedMs) : ms);
  }

  unlimited(): void {
    this.dueAt = never;
  }

  /** A part of the answer has been written; how long the next may take is up to the app. */
  hasProgressed(): void {
    if (this.#hasEnded) this.limit(halfClosedMs);
    else this.unlimited();
  }

  /** The exchange can take what has come meanwhile. */
  goOn(): void {
    if (this.#unread.length > 0) {
      const unread = this.#unread.take();
      this.#take(unread, 0, unread.length);
    }
    if (!this.#isBusy) this.wire.resume();
  }

  /** The answer has been written. */
  finish(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange) this.#served(exchange);
    if (!this.isKept) return void this.#close();
    if (this.wire.pending > 0) {
      // Who does not read its answers gets no more of them.
      this.unlimited();
      this.#isFlushing = true;
      this.wire.pause();
      return void this.wire.whenFlushed(() => {
        this.#isFlushing = false;
        this.#next();
      });
    }
    this.#next();
  }

  /** Answers in Maestro's own name. */
  refuse(refusal: Refusal): void {
    if (refusal.status === 400 || (this.isUnfinished && this.#exchange?.isUncertain)) this.isKept = false;
    this.wire.write(plainAnswer(refusal, this.#isHead, this.isKept));
    this.finish();
  }

  /** What has been written of the answer is not whole, and must be seen not to be, whatever was to mark its end. */
  cut(isEndless = false): void {
    if (isEndless) this.wire.socket.resetAndDestroy();
    else this.wire.destroy();
  }

  becomeTunnel(upstream: Wire, isWebSocket: boolean): void {
    this.#options.deadlines.delete(this);
    const unread = this.#unread.take();
    if (unread.length > 0) upstream.write(unread);
    splice(this.wire, upstream, isWebSocket, () => this.onClose());
    if (this.#hasEnded) this.wire.reader.onEnd();
    else this.wire.resume();
  }

  /** Nothing more can be taken until the exchange has come further. */
  get #isBusy(): boolean {
    if (this.#exchange === null) return this.#isFlushing;
    return this.#exchange.isWaiting || this.#body.isComplete;
  }

  #takeMore(bytes: Buffer, length: number): void {
    this.#unread.add(bytes, 0, length);
    if (this.#isBusy) return void this.#limitUnread();
    if (this.#unread.length > mostHead + length) return void this.#refuseAndClose(headTooLarge());
    if (!endsLine(bytes, 0, length)) return;
    const unread = this.#unread.take();
    this.#take(unread, 0, unread.length);
  }

  #take(bytes: Buffer, from: number, end: number): void {
    let at = from;
    while (at < end && !this.#isClosing) {
      if (this.#isBusy) {
        this.#unread.add(bytes, at, end);
        return void this.#limitUnread();
      }
      at = this.isUnfinished ? this.#takeBody(bytes, at, end) : this.#takeHead(bytes, at, end);
    }
  }

  #limitUnread(): void {
    if (this.#unread.length >= mostUnread) this.wire.pause();
  }

  #takeHead(bytes: Buffer, from: number, end: number): number {
    try {
      if (head.read(bytes, from, end)) return this.#begin(bytes, from, end);
      this.#unread.add(bytes, from, end);
      if (!this.#isReadingHead) this.limit(headMs);
      this.#isReadingHead = true;
    } catch (error) {
      this.#refuseAndClose(refusalFor(error));
    }
    return end;
  }

  /** Returns where what follows on the request begins. Throws a `Refusal` for a body that is malformed at once. */
  #begin(bytes: Buffer, from: number, end: number): number {
    this.#isReadingHead = false;
    if (head.isUncommon) {
      this.#options.deadlines.delete(this);
      this.#isClosing = true;
      this.#options.onUncommon(this, bytes.subarray(from, end));
      return end;
    }
    const body = head.body();
    const next = body.follow(bytes, head.end, end);
    this.#options.onRequest();
    this.#origin ??= new Origin(this.wire.socket, this.#options.isTrusted);
    const composed = requestFor(head, bytes, head.end, body.passTo, this.#origin);
    const request = body.tail ? Buffer.concat([composed, body.tail]) : composed;
    // Whoever asks for a tunnel has no other use for the connection.
    this.isKept = head.isKept && head.upgrade === null && !this.#isLeaving;
    this.#isHead = head.method === "HEAD";
    this.#body = body;
    this.unlimited();
    const exchange = new Exchange(this, head, request, this.#options);
    this.#exchange = exchange;
    try {
      exchange.begin();
    } catch (error) {
      this.#refuseAtOnce(exchange, refusalFor(error), bytes);
    }
    return next;
  }

  /** The one answer that depends on the path: a load balancer's check reaches no app. */
  #refuseAtOnce(exchange: Exchange, refusal: Refusal, bytes: Buffer): void {
    const isPing = refusal.status === 404 && head.isFor(bytes, "/_ping_");
    const answer = isPing ? new Refusal(200, "pong") : refusal;
    exchange.status = answer.status;
    exchange.abandon();
    this.refuse(answer);
  }

  #takeBody(bytes: Buffer, from: number, end: number): number {
    try {
      const next = this.#body.follow(bytes, from, end);
      this.#exchange?.send(bytes, from, this.#body);
      return next;
    } catch (error) {
      const exchange = this.#exchange;
      if (exchange?.status !== 0) this.cut();
      else this.#refuseAndClose(refusalFor(error));
      return end;
    }
  }

  #next(): void {
    if (this.#isClosing || this.wire.socket.destroyed) return;
    this.limit(this.#isLeaving ? leavingKeepAliveMs : keepAliveMs);
    if (this.#unread.length > 0) this.goOn();
    else this.wire.resume();
    if (this.#hasEnded && !this.#exchange) this.#close();
  }

  #refuseAndClose(refusal: Refusal): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.abandon();
    this.isKept = false;
    this.wire.write(plainAnswer(refusal, false, false));
    this.#close();
  }

  /** What follows on the connection means nothing. */
  #close(): void {
    this.#isClosing = true;
    this.#unread.take();
    this.wire.end();
    this.limit(lingerMs);
    this.wire.resume();
  }

  #served(exchange: Exchange): void {
    this.#options.onServed?.({ exchange, address: this.#origin?.address ?? "" });
  }
}

function refusalFor(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof Malformed) return malformed(error.message);
  return new Refusal(502, "The request could not be forwarded.", { cause: error });
}
