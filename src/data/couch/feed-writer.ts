import { z } from "zod";
import type { Exchange } from "./exchange.ts";

export const Feed = z.enum(["normal", "longpoll", "continuous", "eventsource"]);
export type Feed = z.infer<typeof Feed>;

/** The lines of a feed. CouchDB's clients and proxies rely on one change a line. */
export class FeedWriter {
  readonly #exchange: Exchange;
  readonly #feed: Feed;
  count = 0;

  constructor(exchange: Exchange, feed: Feed) {
    this.#exchange = exchange;
    this.#feed = feed;
  }

  get #isArray(): boolean {
    return this.#feed === "normal" || this.#feed === "longpoll";
  }

  async open(): Promise<void> {
    if (this.#isArray) await this.#exchange.write('{"results":[\n');
  }

  async write(change: object): Promise<void> {
    this.count += 1;
    const json = JSON.stringify(change);
    if (this.#isArray) return this.#exchange.write(`${this.count > 1 ? ",\n" : ""}${json}`);
    if (this.#feed === "continuous") return this.#exchange.write(`${json}\n`);
    const { seq } = z.object({ seq: z.number() }).parse(change);
    return this.#exchange.write(`data: ${json}\nid: ${seq}\n\n`);
  }

  /** Node keeps the head of an answer back until there is a body: a client that waits wants to see it now. */
  flush(): void {
    this.#exchange.response.flushHeaders();
  }

  beat(): void {
    void this.#exchange.write(this.#feed === "eventsource" ? "event: heartbeat\ndata: \n\n" : "\n");
  }

  close(lastSeq: number, pending: number): void {
    const { response } = this.#exchange;
    if (this.#isArray) response.end(`\n],\n"last_seq":${lastSeq},"pending":${pending}}\n`);
    else
      response.end(this.#feed === "continuous" ? `${JSON.stringify({ last_seq: lastSeq, pending })}\n` : "");
  }
}
