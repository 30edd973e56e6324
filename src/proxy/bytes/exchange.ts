import type { Lease } from "../lease.ts";
import type { Passage, Passages } from "../passage.ts";
import { Refusal } from "../refusal.ts";
import { type Body, closeBody, noBody } from "./body.ts";
import { composeBuffer, writeComposed } from "./buffers.ts";
import { writeResponse } from "./compose.ts";
import type { ClientConnection } from "./connection.ts";
import { endsLine, Gathered } from "./gathered.ts";
import type { Pools } from "./pool.ts";
import type { RequestHead } from "./request.ts";
import { mostAnswerHead, notHttp, ResponseHead } from "./response.ts";
import type { Reader, Wire } from "./wire.ts";

export type ExchangeOptions = { passages: Passages<Wire>; pools: Pools; answerMs: number };

/** `waiting` for an instance, `asked` it, `answering`: the answer's head has been passed on. */
type Phase = "waiting" | "asked" | "answering" | "done";

/** Answers to one request that are none yet (RFC 9110, 15.2): nobody needs as many. */
const mostInformation = 16;

/** Read into again for each answer; nothing in it is needed once its head has been passed on. */
const answer = new ResponseHead();

/** One request and its answer, from the claim of an instance until the last byte. It reads what the instance says. */
export class Exchange implements Reader {
  readonly #client: ClientConnection;
  readonly #options: ExchangeOptions;
  readonly #request: Buffer;
  readonly #isRepeatable: boolean;
  readonly #isHead: boolean;
  readonly #expectsContinue: boolean;
  readonly #upgrade: string | null;
  readonly host: string;
  readonly method: string;
  /** Of the answer that was passed on, for the access log. */
  status = 0;
  #phase: Phase = "waiting";
  #lease: Lease | null = null;
  #upstream: Wire | null = null;
  #body: Body = noBody;
  #gathered: Gathered | null = null;
  #hasAnswered = false;
  #isReused = false;
  #hadToWait = false;
  #isKeptByApp = false;
  #isContinued = false;
  #informed = 0;

  /** `request`: its head as the instance gets it, and as much of its body as has come. */
  constructor(client: ClientConnection, head: RequestHead, request: Buffer, options: ExchangeOptions) {
    this.#client = client;
    this.#options = options;
    this.#request = request;
    this.#isRepeatable = head.isRepeatable;
    this.#isHead = head.method === "HEAD";
    this.#expectsContinue = head.expectsContinue;
    this.#upgrade = head.upgrade;
    this.host = head.host;
    this.method = head.method;
  }

  /** Throws a `Refusal`. The instance is claimed before this returns, unless it has to be waited for. */
  begin(): void {
    const { passages } = this.#options;
    const left = () => this.#client.left();
    const taken =
      this.#upgrade === null
        ? passages.take(this.host, left, this.#isRepeatable)
        : passages.open(this.host, "stream", left());
    if (taken instanceof Promise) this.#await(taken);
    else this.#send(taken);
  }

  /** No more of the body can be taken at the moment. */
  get isWaiting(): boolean {
    return this.#phase === "waiting";
  }

  get targetPort(): number | undefined {
    return this.#lease?.upstream.port;
  }

  /** Whether a request that is not whole leaves it open what the client will send next. */
  get isUncertain(): boolean {
    return this.#expectsContinue && !this.#isContinued;
  }

  /** More of the request's body. */
  send(bytes: Buffer, from: number, body: Body): void {
    const { wire } = this.#client;
    if (!this.#upstream?.isOpen) return; // What that means is told by its close.
    wire.passOn(this.#upstream, bytes, from, body.passTo);
    if (body.tail) this.#upstream.write(body.tail);
    wire.isStreaming = !body.isComplete;
    if (!body.isComplete) wire.waitFor(this.#upstream);
    // While the body still comes the app has nothing to answer yet.
    if (this.#phase === "asked") this.#client.limit(this.#options.answerMs);
  }

  /** Nobody is there any more to be answered. */
  abandon(): void {
    this.#phase = "done";
    this.#letGo(false);
  }

  late(): void {
    this.#refuse(new Refusal(504, "The app did not answer in time."));
  }

  onBytes(bytes: Buffer, length: number): void {
    try {
      if (this.#phase === "answering") this.#passBody(bytes, length);
      else this.#read(bytes, length);
    } catch (error) {
      if (this.#phase === "answering") this.#cut();
      else this.#refuse(error instanceof Refusal ? error : notHttp());
    }
  }

  onEnd(): void {
    if (this.#phase !== "answering") this.#broke();
    else if (closeBody(this.#body)) this.#finish(false);
    else this.#cut();
  }

  onClose(): void {
    if (this.#phase === "answering") this.#cut();
    else this.#broke();
  }

  #await(taken: Promise<Passage<Wire>>): void {
    this.#phase = "waiting";
    this.#hadToWait = true;
    taken.then(
      (passage) => {
        if (this.#phase === "waiting") this.#send(passage);
        else drop(passage);
      },
      (error: unknown) => {
        if (this.#phase !== "waiting") return;
        this.#refuse(error instanceof Refusal ? error : new Refusal(502, "The app cannot be reached."));
      },
    );
  }

  #send({ lease, connected }: Passage<Wire>): void {
    this.#lease = lease;
    this.#isReused = connected === undefined;
    const upstream = connected ?? this.#options.pools.takeIdle(lease.upstream);
    if (!upstream) throw new Refusal(502, "The app cannot be reached.");
    this.#upstream = upstream;
    this.#phase = "asked";
    upstream.reader = this;
    upstream.write(this.#request);
    this.#client.limit(this.#options.answerMs);
    if (!upstream.isOpen) return void this.onClose();
    if (this.#hadToWait) this.#client.goOn();
  }

  /** The answer's head, and those before it that are none yet. */
  #read(bytes: Buffer, length: number): void {
    if (this.#phase === "done") return;
    this.#hasAnswered = true;
    let [from, at, end] = [bytes, 0, length];
    if (this.#gathered) {
      this.#gathered.add(bytes, 0, length);
      if (this.#gathered.length > mostAnswerHead + length) throw notHttp();
      if (!endsLine(bytes, 0, length)) return;
      from = this.#gathered.take();
      end = from.length;
      this.#gathered = null;
    }
    for (; answer.read(from, at, end); at = answer.end) {
      if (!answer.isInformation) return void this.#pass(from, end);
      if (answer.status === 101) return void this.#becomeTunnel(from, end);
      this.#inform(from);
      if (answer.end === end) return;
    }
    this.#gathered = new Gathered();
    this.#gathered.add(from, at, end);
  }

  #inform(bytes: Buffer): void {
    this.#informed += 1;
    if (this.#informed > mostInformation) throw notHttp();
    if (answer.status === 100) {
      this.#isContinued = true;
      if (!this.#expectsContinue) return;
    }
    writeComposed(this.#client.wire, writeResponse(answer, bytes, composeBuffer(), "kept"));
  }

  /** The head, and what has come of the body with it, in one write. */
  #pass(bytes: Buffer, end: number): void {
    const { wire } = this.#client;
    const body = answer.body(this.#isHead);
    const next = body.follow(bytes, answer.end, end);
    if (body.isEndless) this.#client.isKept = false;
    if (this.#client.isUnfinished && this.isUncertain) this.#client.isKept = false;
    if (answer.isEventStream) this.#lease?.becomeStream();
    this.#body = body;
    this.#isKeptByApp = answer.isKept && !body.isEndless;
    this.status = answer.status;
    this.#phase = "answering";
    const into = composeBuffer();
    let at = writeResponse(answer, bytes, into, this.#client.isKept ? "kept" : "closed");
    at += bytes.copy(into, at, answer.end, body.passTo);
    if (body.tail) at += body.tail.copy(into, at);
    writeComposed(wire, at);
    this.#goOn(next === end);
  }

  #passBody(bytes: Buffer, length: number): void {
    const { wire } = this.#client;
    const next = this.#body.follow(bytes, 0, length);
    this.#upstream?.passOn(wire, bytes, 0, this.#body.passTo);
    if (this.#body.tail) wire.write(this.#body.tail);
    this.#goOn(next === length);
  }

  #goOn(isClean: boolean): void {
    if (this.#body.isComplete) return void this.#finish(isClean);
    this.#client.hasProgressed();
    if (!this.#upstream) return;
    this.#upstream.isStreaming = true;
    this.#upstream.waitFor(this.#client.wire);
  }

  #becomeTunnel(bytes: Buffer, end: number): void {
    const upstream = this.#upstream;
    if (this.#upgrade === null || !upstream) throw notHttp();
    this.status = 101;
    this.#phase = "answering";
    const into = composeBuffer();
    let at = writeResponse(answer, bytes, into, "upgraded");
    at += bytes.copy(into, at, answer.end, end);
    writeComposed(this.#client.wire, at);
    this.#client.becomeTunnel(upstream, this.#upgrade.toLowerCase() === "websocket");
  }

  #finish(isClean: boolean): void {
    this.#phase = "done";
    this.#letGo(isClean && this.#isKeptByApp && !this.#client.isUnfinished && this.#upgrade === null);
    this.#client.finish();
  }

  /** The instance broke off before its answer. A kept connection may have been closed before the request came there. */
  #broke(): void {
    if (this.#phase !== "asked") return;
    if (!this.#isReused || this.#hasAnswered || !this.#isRepeatable) {
      return void this.#refuse(new Refusal(502, "The app broke off before it answered."));
    }
    this.#letGo(false);
    this.#client.unlimited();
    this.#await(this.#options.passages.open(this.host, "request", this.#client.left()));
  }

  #refuse(refusal: Refusal): void {
    this.#phase = "done";
    this.status = refusal.status;
    this.#letGo(false);
    this.#client.refuse(refusal);
  }

  /** After the head an answer that is not whole can only be cut off, so that it is seen not to be whole. */
  #cut(): void {
    this.#phase = "done";
    this.#letGo(false);
    this.#client.cut(this.#body.isEndless);
  }

  #letGo(isKept: boolean): void {
    const [upstream, lease] = [this.#upstream, this.#lease];
    this.#upstream = null;
    if (upstream && lease) {
      upstream.isStreaming = false;
      upstream.reader = nobody;
      if (isKept && upstream.isOpen) this.#options.pools.keep(lease.upstream, upstream);
      else upstream.destroy();
    }
    lease?.release();
  }
}

const nobody: Reader = { onBytes() {}, onEnd() {}, onClose() {} };

function drop({ lease, connected }: Passage<Wire>): void {
  lease.release();
  connected?.destroy();
}
