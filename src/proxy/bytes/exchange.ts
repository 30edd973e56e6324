import type { Body } from "../../http/body.ts";
import { never } from "../../http/deadlines.ts";
import type { UpstreamConnection } from "../../http/pool.ts";
import { type Ending, notHttp, type ResponseHead } from "../../http/response.ts";
import type { Reader, Wire } from "../../http/wire.ts";
import { type Bounds, unbounded } from "../bounds.ts";
import { dropPassage, type Passage, type Passages } from "../passage.ts";
import { lateAnswer, lateBody, Refusal, tooLarge } from "../refusal.ts";
import { setCookieLine } from "../sticky.ts";
import { Answer, type Asker } from "./answer.ts";
import { Claim } from "./claim.ts";
import type { ComposedRequest } from "./composed.ts";
import type { ClientConnection } from "./connection.ts";
import type { Pools } from "./pools.ts";

export type ExchangeOptions = { passages: Passages<UpstreamConnection>; pools: Pools };

/** `waiting` for an instance; `asked` it, which goes on until the answer is complete. */
type Phase = "waiting" | "asked" | "done";

/** One request and its answer, from the claim of an instance until the last byte. It reads what the instance says. */
export class Exchange implements Reader, Asker {
  readonly request: ComposedRequest;
  readonly #client: ClientConnection;
  readonly #options: ExchangeOptions;
  readonly answer: Answer;
  #phase: Phase = "waiting";
  #claim: Claim | null = null;
  /** A line of its own in the answer's head; "" for none. */
  setCookie = "";
  #hadToWait = false;
  /** How long nothing may come of an answer that has begun, ms. */
  #betweenMs = never;
  #refusedWith = 0;

  constructor(client: ClientConnection, request: ComposedRequest, options: ExchangeOptions) {
    this.request = request;
    this.#client = client;
    this.#options = options;
    this.answer = new Answer(this, request);
  }

  /** Throws a `Refusal`. The instance is claimed before this returns, unless it has to be waited for. */
  begin(): void {
    const { passages } = this.#options;
    const left = () => this.#client.left();
    const taken =
      this.request.upgrade === null
        ? passages.take(this.request, left, this.request.isRepeatable)
        : passages.open(this.request, "stream", left());
    if (taken instanceof Promise) this.#await(taken);
    else this.#send(taken);
  }

  get wire(): Wire {
    return this.#client.wire;
  }

  get isWaiting(): boolean {
    return this.#phase === "waiting";
  }

  get hasAnswered(): boolean {
    return this.answer.status !== 0;
  }

  /** Of the answer that the client got; 0 without one. */
  get status(): number {
    return this.#refusedWith || this.answer.status;
  }

  get targetPort(): number | undefined {
    return this.#claim?.instance.port;
  }

  /** Whether the client sends the body that it has announced is its own choice. */
  get isUncertain(): boolean {
    return this.request.expectsContinue && !this.answer.isContinued;
  }

  /** More of the request's body. */
  send(bytes: Buffer, from: number, body: Body): void {
    const { wire } = this.#client;
    const upstream = this.#claim?.wire;
    if (!upstream?.isOpen) return; // What that means is told by its close.
    this.request.bodyCame += body.passTo - from;
    if (this.#isBodyTooLarge()) return;
    wire.passOn(upstream, bytes, from, body.passTo);
    if (body.tail) upstream.write(body.tail);
    wire.isStreaming = !body.isComplete;
    if (!body.isComplete) wire.waitFor(upstream);
    // While the body still comes the app has nothing to answer yet.
    if (!this.hasAnswered) this.#client.limit(this.#bounds.answerMs);
  }

  /** Nobody is there any more to be answered. */
  abandon(): void {
    this.#phase = "done";
    this.#letGo(false);
  }

  late(): void {
    if (this.hasAnswered) {
      this.#cut(); // A stream on which nothing moves.
      return;
    }
    const isClients = this.#client.isUnfinished && !this.isUncertain && this.#claim?.wire?.pending === 0;
    if (!isClients) this.#claim?.failed();
    this.refuse(isClients ? lateBody() : lateAnswer());
  }

  refuse(refusal: Refusal): void {
    this.#phase = "done";
    this.#refusedWith = refusal.status;
    this.#letGo(false);
    this.#client.refuse(refusal);
  }

  onBytes(bytes: Buffer, length: number): void {
    const upstream = this.#claim?.wire;
    if (!upstream) return;
    try {
      this.answer.take(upstream, bytes, length);
    } catch (error) {
      if (this.hasAnswered) this.#cut();
      else this.refuse(error instanceof Refusal ? error : notHttp());
      return;
    }
    if (this.answer.isTunnel) this.#becomeTunnel();
    else if (this.answer.isComplete) this.#finish();
    else if (this.hasAnswered) this.#waitForMore(upstream);
  }

  onEnd(): void {
    if (!this.hasAnswered) this.#broke();
    else if (this.answer.close()) this.#finish();
    else this.#cut();
  }

  onClose(): void {
    if (this.hasAnswered) this.#cut();
    else this.#broke();
  }

  #await(taken: Promise<Passage<UpstreamConnection>>): void {
    this.#phase = "waiting";
    this.#hadToWait = true;
    taken.then(
      (passage) => {
        if (this.#phase === "waiting") this.#send(passage);
        else dropPassage(passage);
      },
      (error: unknown) => {
        if (this.#phase !== "waiting") return; // The client has left.
        this.refuse(error instanceof Refusal ? error : new Refusal(502, "The app cannot be reached."));
      },
    );
  }

  #send(passage: Passage<UpstreamConnection>): void {
    const claim = new Claim(passage, this.#options.pools);
    this.#claim = claim;
    this.setCookie = setCookieLine(this.request, claim.place, claim.instance);
    this.#phase = "asked";
    if (this.#isBodyTooLarge()) return;
    const isSent = claim.ask(this.request, this);
    this.#client.limit(claim.bounds.answerMs);
    if (!isSent) this.#broke();
    else if (this.#hadToWait) this.#client.goOn();
  }

  /** Decides what becomes of the client's connection. */
  onHead(answer: ResponseHead, body: Body): Ending {
    this.#claim?.answered();
    if (body.isEndless || (this.#client.isUnfinished && this.isUncertain)) this.#client.isKept = false;
    if (answer.isEventStream) {
      this.#betweenMs = this.#bounds.streamIdleMs;
      this.#claim?.becomeStream();
    }
    return this.#client.isKept ? "kept" : "closed";
  }

  #waitForMore(upstream: Wire): void {
    this.#client.limit(this.#betweenMs);
    upstream.isStreaming = true;
    upstream.waitFor(this.#client.wire);
  }

  /** From here on the connections belong together; the lease lasts until the client's closes. */
  #becomeTunnel(): void {
    const upstream = this.#claim?.giveAway();
    if (!upstream) return;
    this.#claim?.answered();
    this.#client.becomeTunnel(upstream, this.request.isWebSocket, this.#bounds.streamIdleMs);
  }

  #finish(): void {
    this.#phase = "done";
    this.#letGo(this.answer.isConnectionKept && !this.#client.isUnfinished && this.request.upgrade === null);
    this.#client.finish();
  }

  /** The instance broke off before its answer. A kept connection may have been closed before the request came there. */
  #broke(): void {
    if (this.#phase !== "asked") return;
    if (!this.#claim?.isReused || this.answer.hasBegun || !this.request.isRepeatable) {
      this.#claim?.failed();
      this.refuse(new Refusal(502, "The app broke off before it answered."));
      return;
    }
    this.#letGo(false);
    this.#client.unlimited();
    this.#await(this.#options.passages.open(this.request, "request", this.#client.left()));
  }

  /** After the head, an answer that is not whole can only be cut off. */
  #cut(): void {
    this.#phase = "done";
    this.#letGo(false);
    this.#client.cut(this.answer.isEndless);
  }

  /** More has come of a body without a length than may. What an answer has begun to say is not taken back. */
  #isBodyTooLarge(): boolean {
    if (this.request.bodyCame <= this.#bounds.maxBody) return false;
    if (this.hasAnswered) this.#cut();
    else this.refuse(tooLarge(this.#bounds));
    return true;
  }

  get #bounds(): Bounds {
    return this.#claim?.bounds ?? unbounded;
  }

  #letGo(isKept: boolean): void {
    this.#claim?.giveBack(isKept);
  }
}
