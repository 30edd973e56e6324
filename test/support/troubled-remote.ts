import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TestDatabase } from "./data.ts";

/** What becomes of a request: it goes through, now or later, its connection is cut, it is never answered, or it is refused. */
export type Trouble = "none" | "cut" | "silence" | { laterMs: number } | Refusal;
/** `body`: text is HTML, as what stands before a server writes it. */
type Refusal = { status: number; body: object | string };
/** `length`: bytes of its body. */
type Judge = (request: { method: string; path: string; length: number }) => Trouble;

/** A way to a database on which there is trouble. */
export class TroubledRemote implements AsyncDisposable {
  readonly seen: string[] = [];
  readonly #server: Server;
  readonly #database: TestDatabase;
  readonly #sockets = new Set<Socket>();
  #judge: Judge = () => "none";

  private constructor(database: TestDatabase, server: Server) {
    this.#database = database;
    this.#server = server;
    server.on("request", (incoming, response) => this.#answer(incoming, response));
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket)).on("error", () => {});
    });
  }

  static async before(
    database: TestDatabase,
    tls?: { key: string | Buffer; cert: string | Buffer },
  ): Promise<TroubledRemote> {
    const server = tls ? createSecureServer(tls) : createServer();
    const remote = new TroubledRemote(database, server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return remote;
  }

  /** The URL of a database behind it. */
  url(name: string, { password = this.#database.password, scheme = "http" } = {}): string {
    const { port } = this.#server.address() as AddressInfo;
    return `${scheme}://maestro:${password}@127.0.0.1:${port}/${name}`;
  }

  /** From now on, for requests that come and for those that are under way. */
  begin(judge: Trouble | Judge): void {
    this.#judge = typeof judge === "function" ? judge : () => judge;
    for (const socket of this.#sockets) if (judge !== "none") socket.destroy();
  }

  end(): void {
    this.#judge = () => "none";
  }

  #answer(incoming: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "" } = incoming;
    this.seen.push(`${method} ${url}`);
    const length = Number(incoming.headers["content-length"] ?? 0);
    const trouble = this.#judge({ method, path: url, length });
    if (trouble === "none") this.#pass(incoming, response);
    else if (trouble === "cut") incoming.socket.destroy();
    else if (trouble === "silence") incoming.resume();
    else if ("laterMs" in trouble) setTimeout(() => this.#pass(incoming, response), trouble.laterMs);
    else this.#refuse(incoming, response, trouble);
  }

  #refuse(incoming: IncomingMessage, response: ServerResponse, { status, body }: Refusal): void {
    incoming.resume();
    const isText = typeof body === "string";
    response
      .writeHead(status, { "content-type": isText ? "text/html" : "application/json" })
      .end(isText ? body : JSON.stringify(body));
  }

  #pass(incoming: IncomingMessage, response: ServerResponse): void {
    const { method, url, headers } = incoming;
    const options = { host: "127.0.0.1", port: this.#database.port, method, path: url, headers };
    const onward = request(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    onward.once("error", () => response.destroy());
    response.once("close", () => onward.destroy());
    incoming.pipe(onward);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
