import { type Body, closeBody, noBody } from "../../http/body.ts";
import { composeBuffer, writeComposed } from "../../http/buffers.ts";
import { type Fields, kinds } from "../../http/fields.ts";
import { Gathered } from "../../http/gathered.ts";
import { type Ending, mostAnswerHead, notHttp, ResponseHead } from "../../http/response.ts";
import type { Wire } from "../../http/wire.ts";
import { writeResponse } from "../../http/write-response.ts";

/** Answers up to this are passed on in one piece: a server that dies over one has not answered, bytes. */
export const wholeBytes = 16 * 1024;

/** Read into again for each answer; nothing in it is needed once its head has been passed on. */
const head = new ResponseHead();

/** Whom it answers. */
export type Asker = {
  readonly wire: Wire;
  /** Asked once, when the head is there: what the app is told of its connection. */
  onHead(body: Body): Ending;
};

/** A server's answer, on its way to the app: how far it has come, and where it ends. */
export class Answer {
  readonly #asker: Asker;
  readonly #isForHead: boolean;
  #body: Body = noBody;
  #gathered: Gathered | null = null;
  /** Its head has been passed on. */
  hasBegun = false;
  /** Behind it nothing has come, and the server keeps the connection. */
  isConnectionKept = false;

  constructor(asker: Asker, isForHead: boolean) {
    this.#asker = asker;
    this.#isForHead = isForHead;
  }

  get isComplete(): boolean {
    return this.hasBegun && this.#body.isComplete;
  }

  get isEndless(): boolean {
    return this.#body.isEndless;
  }

  /** Passes on what has come. Throws for what is not HTTP. */
  take(server: Wire, bytes: Buffer, length: number): void {
    if (this.hasBegun) {
      this.#takeBody(server, bytes, length);
    } else if (this.#gathered) {
      this.#gathered.add(bytes, 0, length);
      this.#takeHead(this.#gathered.bytes, this.#gathered.length);
    } else if (!this.#takeHead(bytes, length)) {
      this.#gathered = new Gathered();
      this.#gathered.add(bytes, 0, length);
    }
  }

  /** The server has ended its side. Returns whether that is the end of the answer, or has cut it off. */
  close(): boolean {
    return closeBody(this.#body);
  }

  /** False when more is waited for: of the head, or of a small body. */
  #takeHead(bytes: Buffer, end: number): boolean {
    if (!readHead(bytes, end)) return isWithin(end);
    const body = head.body(this.#isForHead);
    const next = body.follow(bytes, head.end, end);
    if (!body.isComplete && isSmall(head.contentLength)) return isWithin(end);
    this.#pass(bytes, end, body, next);
    return true;
  }

  #pass(bytes: Buffer, end: number, body: Body, next: number): void {
    const ending = this.#asker.onHead(body);
    this.#body = body;
    this.hasBegun = true;
    this.isConnectionKept = head.isKept && !body.isEndless && next === end;
    const into = composeBuffer();
    let at = writeResponse(head, bytes, into, ending, "", withholds);
    at += bytes.copy(into, at, head.end, body.passTo);
    if (body.tail) at += body.tail.copy(into, at);
    writeComposed(this.#asker.wire, at);
  }

  #takeBody(server: Wire, bytes: Buffer, length: number): void {
    const next = this.#body.follow(bytes, 0, length);
    server.passOn(this.#asker.wire, bytes, 0, this.#body.passTo);
    if (this.#body.tail) this.#asker.wire.write(this.#body.tail);
    if (next !== length) this.isConnectionKept = false;
  }
}

/** Without those before it that are no answers yet: nobody has asked for them. */
function readHead(bytes: Buffer, end: number): boolean {
  for (let at = 0; head.read(bytes, at, end); at = head.end) if (!head.isInformation) return true;
  return false;
}

const isSmall = (length: number) => length !== -1 && length <= wholeBytes;

/** Always false. */
function isWithin(length: number): false {
  if (length > mostAnswerHead + wholeBytes) throw notHttp();
  return false;
}

/** What the server says to the endpoint, and a location that names the server. */
function withholds(fields: Fields, bytes: Buffer, index: number): boolean {
  switch (fields.kind(index)) {
    case kinds.setCookie:
    case kinds.wwwAuthenticate:
    case kinds.trailer:
      return true;
    case kinds.location:
      return /^https?:/i.test(fields.value(bytes, index));
    default:
      return false;
  }
}
