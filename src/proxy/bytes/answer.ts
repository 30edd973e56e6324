import { type Body, closeBody, noBody } from "../../http/body.ts";
import { composeBuffer, writeComposed } from "../../http/buffers.ts";
import { endsLine, Gathered } from "../../http/gathered.ts";
import { type Ending, mostAnswerHead, notHttp, ResponseHead } from "../../http/response.ts";
import type { Wire } from "../../http/wire.ts";
import { writeResponse } from "../../http/write-response.ts";
import type { ComposedRequest } from "./composed.ts";

/** Answers to one request that are none yet (RFC 9110, 15.2): nobody needs as many. */
const mostInformation = 16;

/** Read into again for each answer; nothing in it is needed once its head has been passed on. */
const head = new ResponseHead();

/** Whose request it answers. */
export type Asker = {
  /** To the client. */
  readonly wire: Wire;
  /** A line that the head gets besides. */
  readonly setCookie: string;
  /** Asked once, when the head is there: what the client is told of its connection. */
  onHead(head: ResponseHead, body: Body): Ending;
};

/** An instance's answer, on its way to the client: how far it has come, and where it ends. */
export class Answer {
  readonly #asker: Asker;
  readonly #isForHead: boolean;
  readonly #mayBeTunnel: boolean;
  readonly #expectsContinue: boolean;
  #body: Body = noBody;
  #gathered: Gathered | null = null;
  #informed = 0;
  /** Of its head; 0 before that has been passed on. */
  status = 0;
  /** When its head was there; `performance.now()`. */
  beganAt = 0;
  /** Of its body, as they have been passed on. */
  bodyBytes = 0;
  /** Something has come, whatever it was. */
  hasBegun = false;
  /** The client has been told to send its body. */
  isContinued = false;
  isTunnel = false;
  /** Behind it nothing has come, and the instance keeps the connection. */
  isConnectionKept = false;

  constructor(asker: Asker, { method, upgrade, expectsContinue }: ComposedRequest) {
    this.#asker = asker;
    this.#isForHead = method === "HEAD";
    this.#mayBeTunnel = upgrade !== null;
    this.#expectsContinue = expectsContinue;
  }

  get isComplete(): boolean {
    return this.status !== 0 && this.#body.isComplete;
  }

  get isEndless(): boolean {
    return this.#body.isEndless;
  }

  /** Passes on what has come. Throws a `Refusal` or a `Malformed` for what is not HTTP. */
  take(upstream: Wire, bytes: Buffer, length: number): void {
    this.hasBegun = true;
    if (this.status === 0) this.#takeHead(bytes, length);
    else this.#takeBody(upstream, bytes, length);
  }

  /** The instance has ended its side. Returns whether that is the end of the answer, or has cut it off. */
  close(): boolean {
    return closeBody(this.#body);
  }

  #takeHead(bytes: Buffer, length: number): void {
    if (!this.#gathered) {
      this.#read(bytes, length);
      return;
    }
    this.#gathered.add(bytes, 0, length);
    if (endsLine(bytes, 0, length)) {
      const gathered = this.#gathered.take();
      this.#gathered = null;
      this.#read(gathered, gathered.length);
    } else if (this.#gathered.length > mostAnswerHead) {
      throw notHttp();
    }
  }

  /** The head, and those before it that are none yet. */
  #read(bytes: Buffer, end: number): void {
    let at = 0;
    for (; head.read(bytes, at, end); at = head.end) {
      if (head.status === 101) this.#passTunnel(bytes, end);
      else if (!head.isInformation) this.#pass(bytes, end);
      else this.#inform(bytes);
      if (!head.isInformation || this.isTunnel || head.end === end) return;
    }
    this.#gathered = new Gathered();
    this.#gathered.add(bytes, at, end);
  }

  #inform(bytes: Buffer): void {
    this.#informed += 1;
    if (this.#informed > mostInformation) throw notHttp();
    if (head.status === 100) {
      this.isContinued = true;
      if (!this.#expectsContinue) return;
    }
    writeComposed(this.#asker.wire, writeResponse(head, bytes, composeBuffer(), "kept"));
  }

  /** The head, and what has come of the body with it, in one write. */
  #pass(bytes: Buffer, end: number): void {
    const body = head.body(this.#isForHead);
    const next = body.follow(bytes, head.end, end);
    const ending = this.#asker.onHead(head, body);
    this.#body = body;
    this.status = head.status;
    this.beganAt = performance.now();
    this.bodyBytes = body.passTo - head.end;
    this.isConnectionKept = head.isKept && !body.isEndless && next === end;
    this.#write(bytes, body.passTo, ending, body.tail);
  }

  #passTunnel(bytes: Buffer, end: number): void {
    if (!this.#mayBeTunnel) throw notHttp();
    this.isTunnel = true;
    this.status = head.status;
    this.beganAt = performance.now();
    this.#write(bytes, end, "upgraded", null);
  }

  #write(bytes: Buffer, end: number, ending: Ending, tail: Buffer | null): void {
    const into = composeBuffer();
    let at = writeResponse(head, bytes, into, ending, this.#asker.setCookie);
    at += bytes.copy(into, at, head.end, end);
    if (tail) at += tail.copy(into, at);
    writeComposed(this.#asker.wire, at);
  }

  #takeBody(upstream: Wire, bytes: Buffer, length: number): void {
    const { wire: client } = this.#asker;
    const next = this.#body.follow(bytes, 0, length);
    this.bodyBytes += this.#body.passTo;
    upstream.passOn(client, bytes, 0, this.#body.passTo);
    if (this.#body.tail) client.write(this.#body.tail);
    if (next !== length) this.isConnectionKept = false;
  }
}
