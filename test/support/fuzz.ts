import { createRequire } from "node:module";
import { Socket } from "node:net";
import type { Body } from "../../src/http/body.ts";
import { Inbox, type Taker } from "../../src/http/inbox.ts";
import type { RequestHead } from "../../src/http/request.ts";
import { SocketWire } from "../../src/http/socket-wire.ts";
import type { Wire } from "../../src/http/wire.ts";
import { requestFor } from "../../src/proxy/bytes/compose.ts";
import { Origin } from "../../src/proxy/bytes/origin.ts";

/** What the byte path made of a client's bytes. */
export type Reading = {
  /** What an app would be sent, request by request; without one that turned out to be malformed. */
  forwarded: Buffer[];
  /** Whether all of the last one has come. */
  isWhole: boolean;
  end: "open" | "refused" | "uncommon" | "tunnel";
};

/** Reads bytes as they come in these parts. What a part was in is overwritten at once, as a shared buffer is. */
export function readParts(parts: readonly Buffer[]): Reading {
  const taker = new FuzzTaker();
  const inbox = new Inbox(taker);
  taker.inbox = inbox;
  for (const part of parts) {
    const shared = Buffer.from(part);
    inbox.take(shared, shared.length);
    shared.fill(0xff);
  }
  return {
    forwarded: taker.forwarded.map((pieces) => Buffer.concat(pieces)),
    isWhole: taker.end === "refused" || !inbox.isUnfinished,
    end: taker.end,
  };
}

const origin = new Origin({ remoteAddress: "192.0.2.1", localPort: 80 }, () => false);

class FuzzTaker implements Taker {
  // Never connected: an inbox only pauses and resumes it.
  readonly wire: Wire = new SocketWire(new Socket(), { onBytes() {}, onEnd() {}, onClose() {} });
  readonly forwarded: Buffer[][] = [];
  inbox: Inbox | null = null;
  end: Reading["end"] = "open";
  #isLast = false;

  /** What comes after the last request is not read. */
  get isBusy(): boolean {
    return this.#isLast && this.inbox?.isUnfinished === false;
  }

  onRequest(head: RequestHead, bytes: Buffer, body: Body): void {
    const pieces = [requestFor(head, bytes, head.end, body.passTo, origin)];
    if (body.tail) pieces.push(body.tail);
    this.forwarded.push(pieces);
    this.#isLast = !head.isKept;
    if (head.upgrade !== null) this.#finish("tunnel");
  }

  onBody(bytes: Buffer, from: number, body: Body): void {
    const pieces = this.forwarded.at(-1);
    pieces?.push(Buffer.from(bytes.subarray(from, body.passTo)));
    if (body.tail) pieces?.push(body.tail);
  }

  /** What has been sent of it was not whole, and never gets to be. */
  onMalformedBody(): void {
    this.forwarded.pop();
    this.#finish("refused");
  }

  onMalformedHead(): void {
    this.#finish("refused");
  }

  onPartialHead(): void {}

  onUncommon(): void {
    this.#finish("uncommon");
  }

  #finish(end: Reading["end"]): void {
    this.end = end;
    this.inbox?.close();
  }
}

/** A message as Node's own parser understands it. */
export type Message = { method: number; url: string; fields: string[]; body: Buffer; isWhole: boolean };

type Parser = {
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): unknown;
  [callback: number]: unknown;
};
type ParserClass = {
  new (): Parser;
  REQUEST: number;
  kOnHeaders: number;
  kOnHeadersComplete: number;
  kOnBody: number;
  kOnMessageComplete: number;
};
const { HTTPParser } = createRequire(import.meta.url)("_http_common") as { HTTPParser: ParserClass };

/** What Node's parser, which most apps read with, makes of the same bytes; `error` where it stops. */
export function readAsNode(bytes: Buffer): { messages: Message[]; error: boolean } {
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
  const messages: Message[] = [];
  let fields: string[] = [];
  let url = "";
  parser[HTTPParser.kOnHeaders] = (more: string[], target: string) => {
    fields.push(...more);
    url += target;
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    headers: string[] | undefined,
    method: number,
    target: string | undefined,
  ) => {
    messages.push({
      method,
      url: url + (target ?? ""),
      fields: [...fields, ...(headers ?? [])],
      body: Buffer.alloc(0),
      isWhole: false,
    });
    fields = [];
    url = "";
    return 0;
  };
  parser[HTTPParser.kOnBody] = (part: Buffer) => {
    const message = messages.at(-1);
    if (message) message.body = Buffer.concat([message.body, part]);
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    const message = messages.at(-1);
    if (message) message.isWhole = true;
    fields = []; // Trailers.
  };
  const result = parser.execute(bytes);
  return { messages, error: result instanceof Error };
}

/** A generator of numbers that can be repeated: mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 up to, but not including, `below`. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  }

  of<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  }

  chance(share: number): boolean {
    return this.below(1000) < share * 1000;
  }
}

/** Pieces that mean something to somebody. */
const pieces = [
  ...[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    ":",
    ";",
    ",",
    "0\r\n\r\n",
    "5\r\nabcde\r\n",
    "\x7f",
    "\x80",
    "\xff",
  ],
  ...[
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: b.test\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
  ],
  ...[
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "X-Request-Id: a\r\n",
    "X-Forwarded-For: 1.2.3.4\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
  ],
  ...[
    "chunked",
    "identity",
    "Content-Length",
    "transfer-encoding",
    "00000000000000000",
    "ffffffffffffff",
    "GET /smuggled HTTP/1.1\r\n",
  ],
];

/** Another input, of one or two others. */
export function mutate(random: Random, corpus: readonly Buffer[]): Buffer {
  let bytes: Buffer = Buffer.from(random.of(corpus));
  for (let count = 1 + random.below(4); count > 0; count -= 1) bytes = mutateOnce(random, bytes, corpus);
  return bytes;
}

function mutateOnce(random: Random, bytes: Buffer, corpus: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([before, Buffer.from(random.of(pieces), "latin1"), after]);
    case 1:
      return Buffer.concat([before, after.subarray(random.below(Math.min(after.length, 8) + 1))]);
    case 2:
      return Buffer.concat([before, Buffer.from([random.below(256)]), after.subarray(1)]);
    case 3:
      return Buffer.concat([before, random.of(corpus)]);
    case 4:
      return Buffer.concat([bytes, bytes.subarray(random.below(bytes.length + 1))]);
    default: {
      const flipped = Buffer.from(bytes);
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      return flipped;
    }
  }
}

/** The bytes in parts, cut at random. */
export function cut(random: Random, bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  const most = random.of([2, 5, 40]);
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(
      bytes.length,
      at + 1 + random.below(Math.max(1, Math.ceil((2 * bytes.length) / most))),
    );
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}
