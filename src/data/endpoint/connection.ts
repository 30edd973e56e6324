import type { Body } from "../../http/body.ts";
import { type Deadlines, never } from "../../http/deadlines.ts";
import { HandedConnection } from "../../http/handed.ts";
import { IncomingConnection } from "../../http/incoming.ts";
import { closesAfter, Refusal } from "../../http/refusal.ts";
import { RequestHead } from "../../http/request.ts";
import { clientTimes } from "../../http/times.ts";
import type { Open } from "../../http/wire.ts";
import type { Entrance } from "./entrance.ts";
import { Exchange } from "./exchange.ts";
import { type KeptFields, keepFields } from "./kept-fields.ts";
import { type KeptRequest, keep } from "./kept-request.ts";
import { asBytes, refusal } from "./refusal.ts";

/** How long a request may take to come, ms. */
export const requestMs = 300_000;
/** Bytes that a request's head may have: queries are long where keys stand in them. */
export const mostHead = 64 * 1024;

export type AppConnectionOptions = {
  deadlines: Deadlines;
  entrance: Entrance;
  /** Takes the stream of a connection's requests for the general path, once. */
  onGeneral(stream: HandedConnection, connection: AppConnection): void;
  onClose(connection: AppConnection): void;
};

/** What the request before the next one waits for, at the general path: its answer, or the rest that nobody reads. */
type Generally = "nothing" | "answer" | "rest";

/**
 * One connection of an app: its requests, one after the other. Each goes the byte path, in an exchange of its own, or the
 * general one, which gets its bytes and no others: where a request ends is decided here alone.
 */
export class AppConnection extends IncomingConnection {
  readonly #options: AppConnectionOptions;
  #fields: KeptFields | null = null;
  #request: KeptRequest | null = null;
  #exchange: Exchange | null = null;
  #stream: HandedConnection | null = null;
  #generally: Generally = "nothing";
  /** Bytes that had been written when the request for the general path began. */
  #writtenBefore = 0;

  constructor(open: Open, options: AppConnectionOptions) {
    super(open, options.deadlines, new RequestHead({ most: mostHead, isRemembering: true }));
    this.#options = options;
  }

  get isBusy(): boolean {
    if (this.isUnfinished) return false;
    return this.#exchange !== null || this.#generally === "answer" || this.isFlushing;
  }

  protected get isIdle(): boolean {
    return this.#exchange === null && this.#generally !== "answer" && !this.isUnfinished;
  }

  onRequest(request: RequestHead, bytes: Buffer, body: Body): void {
    this.isKept = request.isKept && !this.isLeaving;
    this.limit(body.isComplete ? never : requestMs);
    if (!request.isLikeBefore) this.#fields = keepFields(request, bytes);
    this.#request = this.#fields && keep(request, bytes, this.#fields, this.#options.entrance);
    if (!this.#request) this.#beginGenerally();
    this.#take(bytes, this.#request ? request.end : request.start, body);
  }

  onBody(bytes: Buffer, from: number, body: Body): void {
    this.#take(bytes, from, body);
  }

  /** As much of a request as has come, up to `body.passTo`. */
  #take(bytes: Buffer, from: number, body: Body): void {
    if (!this.#request) {
      this.#giveGenerally(bytes.subarray(from, body.passTo));
      if (body.tail) this.#giveGenerally(body.tail);
      if (body.isComplete) this.#wholeGenerally();
      return;
    }
    this.#request.add(bytes, from, body.passTo);
    if (!body.isComplete) return;
    this.limit(never);
    this.#exchange = new Exchange(this, this.#request);
    this.#exchange.begin();
  }

  #beginGenerally(): void {
    this.#generally = "answer";
    this.#writtenBefore = this.wire.bytesWritten;
  }

  #giveGenerally(bytes: Buffer): void {
    if (this.#stream) {
      this.#stream.onBytes(bytes, bytes.length);
      return;
    }
    const { remoteAddress: address = "", localPort: port } = this.wire;
    this.#stream = new HandedConnection(this.wire, bytes, { address, port }, this.#options.deadlines);
    this.#options.onGeneral(this.#stream, this);
  }

  #wholeGenerally(): void {
    this.limit(this.#generally === "rest" ? clientTimes.idleMs : never);
    if (this.#generally === "rest") this.#generally = "nothing";
  }

  /** The byte path cannot have it after all. Nothing of it has been sent. */
  askGenerally(request: KeptRequest): void {
    this.#exchange = null;
    this.#request = null;
    this.#beginGenerally();
    this.#giveGenerally(request.asItCame);
  }

  /** The general path has answered, or given up. */
  answeredGenerally(): void {
    if (this.#generally !== "answer" || this.isClosing) return;
    this.#generally = this.isUnfinished ? "rest" : "nothing";
    if (!this.isKept || this.#stream?.writable === false) this.close();
    else if (!this.isUnfinished) this.next();
  }

  /** The answer has been written. */
  finish(): void {
    this.#exchange = null;
    this.#request = null;
    this.answered();
  }

  refuse(status: number, error: string, reason: string): void {
    const isHead = this.#request?.method === "HEAD";
    this.wire.write(asBytes(status, refusal(status, error, reason, !this.isKept), isHead));
    this.finish();
  }

  onMalformedHead(refused: Refusal): void {
    this.isKept &&= !closesAfter(refused) && refused.status !== 431;
    this.#request = null;
    this.refuse(refused.status, "bad_request", refused.message);
  }

  /** What the general path has had of it stays without an end. It may have begun to answer. */
  onMalformedBody(refused: Refusal): void {
    const isAnswered = this.#generally !== "nothing" && this.wire.bytesWritten !== this.#writtenBefore;
    if (isAnswered) this.wire.destroy();
    else this.onMalformedHead(refused);
  }

  onEnd(): void {
    this.hasEnded = true;
    if (this.isClosing) return;
    if (this.#generally !== "nothing") this.#stream?.onEnd();
    else if (this.#exchange) this.limit(clientTimes.halfClosedMs);
    else this.close();
  }

  onClose(): void {
    this.forgetTime();
    this.#exchange?.abandon();
    this.#exchange = null;
    this.#stream?.onClose();
    this.#options.onClose(this);
  }

  onDue(): void {
    if (this.isClosing || this.hasEnded) this.wire.destroy();
    else if (this.inbox.isReadingHead || this.isUnfinished)
      this.onMalformedBody(new Refusal(408, "The request came too slowly."));
    else this.close();
  }
}
