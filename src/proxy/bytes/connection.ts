import type { Body } from "../../http/body.ts";
import type { Deadlines } from "../../http/deadlines.ts";
import { IncomingConnection } from "../../http/incoming.ts";
import type { RequestHead } from "../../http/request.ts";
import { clientTimes } from "../../http/times.ts";
import type { Open, Wire } from "../../http/wire.ts";
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
export class ClientConnection extends IncomingConnection {
  readonly #options: ConnectionOptions;
  readonly #introduced: Introduced;
  #origin: Origin | null = null;
  #exchange: Exchange | null = null;
  #isHead = false;
  #left: AbortController | null = null;
  #tunnel: Wire | null = null;

  /** `introduced`: what a balancer has said of the client. */
  constructor(open: Open, options: ConnectionOptions, introduced: Introduced = null) {
    super(open, options.deadlines);
    this.#options = options;
    this.#introduced = introduced;
  }

  onEnd(): void {
    this.hasEnded = true;
    if (this.isClosing) return;
    if (!this.#exchange) this.close();
    else if (this.isUnfinished) this.wire.destroy();
    else this.limit(clientTimes.halfClosedMs);
  }

  onClose(): void {
    this.forgetTime();
    this.#left?.abort();
    const exchange = this.#takeExchange();
    exchange?.abandon();
    this.#served(exchange);
    this.#options.onClose(this);
  }

  onDue(): void {
    if (this.isClosing || this.hasEnded) this.wire.destroy();
    else if (this.#exchange) this.#exchange.late();
    else if (this.inbox.isReadingHead) this.onMalformedHead(new Refusal(408, "The request came too slowly."));
    else this.close();
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
    if (this.#exchange === null) return this.isFlushing;
    return this.#exchange.isWaiting || !this.isUnfinished;
  }

  protected get isIdle(): boolean {
    return this.#exchange === null;
  }

  onRequest(head: RequestHead, bytes: Buffer, body: Body): void {
    this.#options.onRequest();
    const composed = requestFor(head, bytes, head.end, body.passTo, this.origin);
    const request = body.tail ? Buffer.concat([composed, body.tail]) : composed;
    // Whoever asks for a tunnel has no other use for the connection.
    this.isKept = head.isKept && head.upgrade === null && !this.isLeaving;
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
    this.close();
  }

  onUncommon(unread: Buffer): void {
    this.forgetTime();
    this.inbox.close();
    this.#options.onUncommon(this, unread);
  }

  /** The exchange can take what has come meanwhile. */
  goOn(): void {
    this.inbox.goOn();
  }

  /** The answer has been written. */
  finish(): void {
    this.#served(this.#takeExchange());
    this.answered();
  }

  /** Answers in Maestro's own name. */
  refuse(refusal: Refusal): void {
    if (closesAfter(refusal) || (this.isUnfinished && this.#exchange?.isUncertain)) this.isKept = false;
    const accept = this.#exchange?.request.field("accept") ?? "";
    this.wire.write(plainAnswer(refusal, { isHead: this.#isHead, isKept: this.isKept, accept }));
    this.finish();
  }

  becomeTunnel(upstream: Wire, isWebSocket: boolean, idleMs: number): void {
    this.forgetTime();
    const unread = this.inbox.close();
    if (unread.length > 0) upstream.write(unread);
    this.#tunnel = upstream;
    splice(this.wire, upstream, { isWebSocket, idleMs }, this.#options.deadlines, () => this.onClose());
    if (this.hasEnded) this.wire.reader.onEnd();
    else this.wire.resume();
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
