import type { Lease } from "../lease.ts";
import type { Asked } from "../mounts.ts";
import type { Passage, Passages } from "../passage.ts";
import { Refusal } from "../refusal.ts";
import { Answer, type Asker } from "./answer.ts";
import type { Body } from "./body.ts";
import type { Ending } from "./compose.ts";
import { fieldOf, targetOf } from "./composed.ts";
import type { ClientConnection } from "./connection.ts";
import { mostUnread } from "./inbox.ts";
import type { Pools, UpstreamConnection } from "./pool.ts";
import type { RequestHead } from "./request.ts";
import { notHttp, type ResponseHead } from "./response.ts";
import { strip } from "./strip.ts";
import type { Reader, Wire } from "./wire.ts";

export type ExchangeOptions = { passages: Passages<UpstreamConnection>; pools: Pools; answerMs: number };

/** `waiting` for an instance; `asked` it, which goes on until the answer is complete. */
type Phase = "waiting" | "asked" | "done";

/** One request and its answer, from the claim of an instance until the last byte. It reads what the instance says. */
export class Exchange implements Reader, Asker, Asked {
  readonly host: string;
  readonly method: string;
  readonly #client: ClientConnection;
  readonly #options: ExchangeOptions;
  readonly #request: Buffer;
  readonly #isRepeatable: boolean;
  readonly expectsContinue: boolean;
  readonly #upgrade: string | null;
  readonly #answer: Answer;
  #phase: Phase = "waiting";
  #lease: Lease | null = null;
  #upstream: UpstreamConnection | null = null;
  #isReused = false;
  #hadToWait = false;
  #refusedWith = 0;

  /** `request`: its head as the instance gets it, and as much of its body as has come. */
  constructor(client: ClientConnection, head: RequestHead, request: Buffer, options: ExchangeOptions) {
    this.host = head.host;
    this.method = head.method;
    this.#client = client;
    this.#options = options;
    this.#request = request;
    this.#isRepeatable = head.isRepeatable;
    this.expectsContinue = head.expectsContinue;
    this.#upgrade = head.upgrade;
    this.#answer = new Answer(this, head);
  }

  /** Throws a `Refusal`. The instance is claimed before this returns, unless it has to be waited for. */
  begin(): void {
    const { passages } = this.#options;
    const left = () => this.#client.left();
    const taken =
      this.#upgrade === null
        ? passages.take(this, left, this.#isRepeatable)
        : passages.open(this, "stream", left());
    if (taken instanceof Promise) this.#await(taken);
    else this.#send(taken);
  }

  get path(): string {
    return targetOf(this.#request);
  }

  get accept(): string {
    return fieldOf(this.#request, "accept");
  }

  /** What is held of it while it waits: itself, and what is read ahead. */
  get heldBytes(): number {
    return this.#request.length + mostUnread;
  }

  get wire(): Wire {
    return this.#client.wire;
  }

  /** Nothing can be sent yet. */
  get isWaiting(): boolean {
    return this.#phase === "waiting";
  }

  /** The head of an answer has been passed on. */
  get hasAnswered(): boolean {
    return this.#answer.status !== 0;
  }

  /** Of the answer that the client got; 0 without one. */
  get status(): number {
    return this.#refusedWith || this.#answer.status;
  }

  get targetPort(): number | undefined {
    return this.#lease?.upstream.port;
  }

  /** Whether the client sends the body that it has announced is its own choice. */
  get isUncertain(): boolean {
    return this.expectsContinue && !this.#answer.isContinued;
  }

  /** More of the request's body. */
  send(bytes: Buffer, from: number, body: Body): void {
    const { wire } = this.#client;
    const upstream = this.#upstream?.wire;
    if (!upstream?.isOpen) return; // What that means is told by its close.
    wire.passOn(upstream, bytes, from, body.passTo);
    if (body.tail) upstream.write(body.tail);
    wire.isStreaming = !body.isComplete;
    if (!body.isComplete) wire.waitFor(upstream);
    // While the body still comes the app has nothing to answer yet.
    if (!this.hasAnswered) this.#client.limit(this.#options.answerMs);
  }

  /** Nobody is there any more to be answered. */
  abandon(): void {
    this.#phase = "done";
    this.#letGo(false);
  }

  late(): void {
    this.refuse(new Refusal(504, "The app did not answer in time."));
  }

  refuse(refusal: Refusal): void {
    this.#phase = "done";
    this.#refusedWith = refusal.status;
    this.#letGo(false);
    this.#client.refuse(refusal);
  }

  onBytes(bytes: Buffer, length: number): void {
    const upstream = this.#upstream;
    if (!upstream) return;
    try {
      this.#answer.take(upstream.wire, bytes, length);
    } catch (error) {
      if (this.hasAnswered) this.#cut();
      else this.refuse(error instanceof Refusal ? error : notHttp());
      return;
    }
    if (this.#answer.isTunnel) this.#becomeTunnel(upstream);
    else if (this.#answer.isComplete) this.#finish();
    else if (this.hasAnswered) this.#waitForMore(upstream.wire);
  }

  onEnd(): void {
    if (!this.hasAnswered) this.#broke();
    else if (this.#answer.close()) this.#finish();
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
        else drop(passage);
      },
      (error: unknown) => {
        if (this.#phase !== "waiting") return; // The client has left.
        this.refuse(error instanceof Refusal ? error : new Refusal(502, "The app cannot be reached."));
      },
    );
  }

  #send({ lease, stripped, connected }: Passage<UpstreamConnection>): void {
    this.#lease = lease;
    this.#isReused = connected === undefined;
    const upstream = connected ?? this.#options.pools.takeIdle(lease.upstream);
    this.#phase = "asked";
    if (!upstream) {
      this.#broke();
      return;
    }
    this.#upstream = upstream;
    upstream.lend(this);
    upstream.wire.write(stripped === "" ? this.#request : strip(this.#request, stripped));
    this.#client.limit(this.#options.answerMs);
    if (!upstream.wire.isOpen) this.#broke();
    else if (this.#hadToWait) this.#client.goOn();
  }

  /** Decides what becomes of the client's connection. */
  onHead(answer: ResponseHead, body: Body): Ending {
    if (body.isEndless || (this.#client.isUnfinished && this.isUncertain)) this.#client.isKept = false;
    if (answer.isEventStream) this.#lease?.becomeStream();
    return this.#client.isKept ? "kept" : "closed";
  }

  #waitForMore(upstream: Wire): void {
    this.#client.hasProgressed();
    upstream.isStreaming = true;
    upstream.waitFor(this.#client.wire);
  }

  /** From here on the connections belong together; the lease lasts until the client's closes. */
  #becomeTunnel(upstream: UpstreamConnection): void {
    this.#upstream = null;
    this.#client.becomeTunnel(upstream.giveAway(), this.#upgrade?.toLowerCase() === "websocket");
  }

  #finish(): void {
    this.#phase = "done";
    this.#letGo(this.#answer.isConnectionKept && !this.#client.isUnfinished && this.#upgrade === null);
    this.#client.finish();
  }

  /** The instance broke off before its answer. A kept connection may have been closed before the request came there. */
  #broke(): void {
    if (this.#phase !== "asked") return;
    if (!this.#isReused || this.#answer.hasBegun || !this.#isRepeatable) {
      this.refuse(new Refusal(502, "The app broke off before it answered."));
      return;
    }
    this.#letGo(false);
    this.#client.unlimited();
    this.#await(this.#options.passages.open(this, "request", this.#client.left()));
  }

  /** After the head, an answer that is not whole can only be cut off. */
  #cut(): void {
    this.#phase = "done";
    this.#letGo(false);
    this.#client.cut(this.#answer.isEndless);
  }

  #letGo(isKept: boolean): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.giveBack(isKept);
    this.#lease?.release();
  }
}

function drop({ lease, connected }: Passage<UpstreamConnection>): void {
  lease.release();
  connected?.destroy();
}
