import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import HttpProxy from "http-proxy";
import { isEventStream, passOn } from "./answer.ts";
import { requestHeaders, trailers } from "./headers.ts";
import { withoutPrefix } from "./mounts.ts";
import type { Passage, Passages } from "./passage.ts";
import { answerPlain, lateAnswer, lateBody, Refusal, tooLarge } from "./refusal.ts";
import { setCookie } from "./sticky.ts";
import type { Upstreams } from "./upstream.ts";
import { clientLeaves, noteAnswer, type Visit } from "./visit.ts";

export type GeneralPathOptions = {
  passages: Passages<Socket>;
  upstreams: Upstreams;
  isTrusted: (address: string) => boolean;
};

/** Requests of every kind, over http-proxy, which makes the request and brings it its body; the rest is ours. */
export class GeneralPath {
  readonly #options: GeneralPathOptions;
  readonly #proxy = createProxy();

  constructor(options: GeneralPathOptions) {
    this.#options = options;
  }

  /** Resolves when the request is on its way. Throws a `Refusal`, or the reason of a client that left. */
  async forward(visit: Visit): Promise<void> {
    const { response, head } = visit;
    const taken = this.#options.passages.take(head, () => clientLeaves(response), isRepeatable(visit));
    const passage = taken instanceof Promise ? await taken : taken;
    new Exchange(visit, this.#options, this.#proxy).begin(passage);
  }
}

function createProxy(): HttpProxy {
  const proxy = HttpProxy.createProxyServer();
  // `deleteLength` makes a chunked DELETE one without a body, whose body is then the next request (smuggling).
  const { webPasses } = proxy as unknown as { webPasses: { name: string }[] };
  const index = webPasses.findIndex(({ name }) => name === "deleteLength");
  if (index === -1) throw new Error("http-proxy is not the version that was mended: no deleteLength pass");
  webPasses.splice(index, 1);
  return proxy;
}

const safeMethods = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Whether it may be sent once more when nobody knows what became of it. */
function isRepeatable({ request, head }: Visit): boolean {
  return !head.hasBody && safeMethods.has(request.method ?? "");
}

/** The address comes with the passage: http-proxy only wants to see one. */
const target = { host: "127.0.0.1", port: 1 };

/**
 * One request and its answer. It is also what http-proxy knows as the agent: Node asks it for a socket when the
 * request is made and nothing of it has been sent, which is when the head is given its last form.
 */
class Exchange {
  readonly protocol = "http:";
  readonly defaultPort = 80;
  readonly keepAlive = true;

  readonly #visit: Visit;
  readonly #options: GeneralPathOptions;
  readonly #proxy: HttpProxy;
  #passage: Passage<Socket> | undefined;
  #outgoing: ClientRequest | undefined;
  #bytesBefore = 0;
  #continued = false;
  #retried = false;
  #answerTimer: NodeJS.Timeout | undefined;

  constructor(visit: Visit, options: GeneralPathOptions, proxy: HttpProxy) {
    this.#visit = visit;
    this.#options = options;
    this.#proxy = proxy;
    visit.response.once("finish", () => this.#skipRestOfBody());
    visit.response.once("close", () => this.#end());
    if (visit.head.hasBody) {
      // Paused: http-proxy sets it flowing.
      visit.request.on("data", (part: Buffer) => this.#bodyCame(part.length)).pause();
    }
  }

  begin(passage: Passage<Socket>): void {
    const { request, response, head } = this.#visit;
    // What http-proxy makes the request of.
    request.headers = requestHeaders(request, head, this.#options.isTrusted, passage.place.stripped);
    this.#passage = passage;
    this.#visit.targetPort = passage.lease.upstream.port;
    // `toProxy` keeps it from parsing the URL.
    const options = { target, agent: this, selfHandleResponse: true, ignorePath: true, toProxy: true };
    this.#proxy.web(request, response, options, (error) => this.#failed(error));
  }

  addRequest(outgoing: ClientRequest): void {
    const { request, head, expectsContinue } = this.#visit;
    this.#outgoing = outgoing;
    // http-proxy's own way with a path takes double slashes out of it.
    outgoing.path = withoutPrefix(head.path, this.#passage?.place.stripped ?? "");
    outgoing.once("response", (incoming) => this.#answered(incoming));
    outgoing.on("information", (information) => this.#inform(information));
    outgoing.once("socket", (socket: Socket) => {
      this.#bytesBefore = socket.bytesRead;
      // The app may have its answer before the body has come.
      if (head.hasBody) outgoing.flushHeaders();
    });
    if (head.isChunked) request.once("end", () => outgoing.addTrailers(trailers(request.rawTrailers)));
    if (expectsContinue) {
      outgoing.setHeader("Expect", "100-continue");
      outgoing.flushHeaders();
    }
    if (this.#passage) this.#send(this.#passage, outgoing);
    const { answerMs = 0 } = this.#passage?.place.route.bounds ?? {};
    this.#answerTimer = setTimeout(() => this.#late(), answerMs);
  }

  /** Uses up the passage's connection. */
  #send({ lease, connected }: Passage<Socket>, outgoing: ClientRequest): void {
    this.#options.upstreams.to(lease.upstream).send(outgoing, connected);
  }

  #inform({ statusCode, rawHeaders }: { statusCode: number; rawHeaders: string[] }): void {
    const { request, response } = this.#visit;
    if (response.headersSent || request.httpVersion === "1.0") return;
    if (statusCode === 100) {
      this.#continued = true;
      if (this.#visit.expectsContinue) response.writeContinue();
    } else if (statusCode !== 101) {
      response.writeInformation(statusCode, rawHeaders);
    }
  }

  #answered(incoming: IncomingMessage): void {
    const { response, expectsContinue } = this.#visit;
    clearTimeout(this.#answerTimer);
    this.#passage?.lease.answered();
    if (isEventStream(incoming)) this.#becomeStream();
    // Whether the body still comes is the client's choice now: only a close makes it clear what follows.
    if (expectsContinue && !this.#continued) response.shouldKeepAlive = false;
    noteAnswer(this.#visit, incoming);
    passOn(incoming, response, setCookie(this.#visit, this.#passage));
  }

  #becomeStream(): void {
    this.#passage?.lease.becomeStream();
    const { response } = this.#visit;
    const { streamIdleMs = 0 } = this.#passage?.place.route.bounds ?? {};
    if (Number.isFinite(streamIdleMs)) response.setTimeout(streamIdleMs, () => response.destroy());
  }

  #failed(cause: Error): void {
    const { response } = this.#visit;
    clearTimeout(this.#answerTimer);
    // After the head, `passOn` has cut the answer off. A client that left is not answered.
    if (response.headersSent || response.destroyed) return;
    if (this.#mayRetry()) return void this.#retry();
    this.#passage?.lease.failed();
    this.#refuse(new Refusal(502, "The app broke off before it answered.", { cause }));
  }

  /** A kept connection may have been closed by the app while this request was on its way: nobody has seen it. */
  #mayRetry(): boolean {
    const socket = this.#outgoing?.socket;
    return (
      !this.#retried &&
      this.#outgoing?.reusedSocket === true &&
      socket?.bytesRead === this.#bytesBefore &&
      isRepeatable(this.#visit)
    );
  }

  async #retry(): Promise<void> {
    const { response, head } = this.#visit;
    this.#retried = true;
    this.#passage?.lease.release();
    try {
      this.begin(await this.#options.passages.open(head, "request", clientLeaves(response)));
    } catch (error) {
      if (!response.destroyed) this.#refuse(error);
    }
  }

  /** While the body still comes the app has nothing to answer yet. */
  #bodyCame(bytes: number): void {
    this.#answerTimer?.refresh();
    this.#visit.bytesIn += bytes;
    const bounds = this.#passage?.place.route.bounds;
    if (!bounds || this.#visit.bytesIn <= bounds.maxBody) return;
    if (this.#visit.response.headersSent) this.#visit.response.destroy();
    else this.#refuse(tooLarge(bounds));
    this.#outgoing?.destroy();
  }

  #late(): void {
    const { request } = this.#visit;
    const isClients =
      !request.complete &&
      !this.#outgoing?.writableNeedDrain &&
      (!this.#visit.expectsContinue || this.#continued);
    if (!isClients) this.#passage?.lease.failed();
    this.#refuse(isClients ? lateBody() : lateAnswer());
    this.#outgoing?.destroy();
  }

  #refuse(error: unknown): void {
    const { request, response } = this.#visit;
    if (!request.complete) response.shouldKeepAlive = false;
    answerPlain(response, error instanceof Refusal ? error : new Refusal(502, "The app cannot be reached."));
  }

  /** Answered before all of the body came: the rest is read and dropped, so that the client sees the answer. */
  #skipRestOfBody(): void {
    const { request } = this.#visit;
    if (request.complete) return;
    request.unpipe();
    request.resume();
  }

  #end(): void {
    clearTimeout(this.#answerTimer);
    this.#outgoing?.destroy();
    this.#passage?.lease.release();
  }
}
