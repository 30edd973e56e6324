import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { GeneralPath } from "./general.ts";
import { answerPlain, Refusal } from "./refusal.ts";
import { readHead } from "./request-head.ts";
import { responseOn, type Tunnels, wantsTunnel } from "./tunnel.ts";
import type { Visit } from "./visit.ts";

/** How long a client may take for a request's head, ms. Bodies may take as long as they need. */
const headMs = 20_000;
/** How long an idle connection of a client is kept, ms. */
const keepAliveMs = 75_000;
/** While leaving: a connection on which nothing came for so long is closed, a busy client's next request is answered. */
const leavingKeepAliveMs = 1000;
/**
 * A client that has ended its side may wait for its answer, or have left: nothing tells until something is written
 * to it. It is given so long without a byte, ms.
 */
const halfClosedMs = 2000;

export type FrontOptions = {
  general: GeneralPath;
  tunnels: Tunnels;
  /** Called with each request that has ended, however it did. */
  onEnd(visit: Visit): void;
  onClose(): void;
};

/** A connection of which Node's server knows no more than this. */
export type ClientSocket = Duplex & {
  readonly remoteAddress?: string | undefined;
  readonly localPort?: number | undefined;
  setTimeout(ms: number, onTimeout?: () => void): unknown;
};

/** The general path's connections of clients: what comes is checked, forwarded, or answered in Maestro's name. */
export class Front {
  readonly #options: FrontOptions;
  readonly #server: Server;
  readonly #sockets = new Set<ClientSocket>();
  /** The latest response of each connection. */
  readonly #responses = new Map<Duplex, ServerResponse>();
  #leaving = false;
  requests = 0;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#server = this.#createServer();
  }

  get connections(): number {
    return this.#sockets.size;
  }

  accept(socket: ClientSocket): void {
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#responses.delete(socket);
      this.#options.onClose();
    });
    socket.once("end", () => socket.setTimeout(halfClosedMs));
    if (this.#leaving) socket.setTimeout(leavingKeepAliveMs);
    this.#server.emit("connection", socket);
  }

  /**
   * What is under way goes on, with `Connection: close`. An idle connection is closed only after a moment: its
   * client may have sent a request just now, believing that it is kept.
   */
  leave(): void {
    this.#leaving = true;
    this.#server.keepAliveTimeout = leavingKeepAliveMs;
    for (const socket of this.#sockets) {
      const response = this.#responses.get(socket);
      if (response && !response.destroyed) response.shouldKeepAlive = false;
      else socket.setTimeout(leavingKeepAliveMs);
    }
  }

  #createServer(): Server {
    const server = createServer({
      headersTimeout: headMs,
      connectionsCheckingInterval: headMs / 4,
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      shouldUpgradeCallback: wantsTunnel,
    });
    Object.assign(server, { httpAllowHalfOpen: true }); // Node's own, without a type.
    server.on("request", (request, response) => this.#visited(request, response, false));
    server.on("checkContinue", (request, response) => this.#visited(request, response, true));
    server.on("upgrade", (request, socket, firstBytes) => this.#upgraded(request, socket, firstBytes));
    server.on("connect", (_request, socket) => answerRaw(socket, 405));
    server.on("clientError", (error, socket) => this.#failed(error, socket));
    // It never listens itself, but this is when Node begins to watch for heads that take too long.
    server.emit("listening");
    return server;
  }

  #visited(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    this.#begin(request, response, expectsContinue, (visit) => this.#options.general.forward(visit));
  }

  #upgraded(request: IncomingMessage, duplex: Duplex, firstBytes: Buffer): void {
    const socket = duplex as Socket;
    socket.on("error", () => socket.destroy());
    const response = responseOn(request, socket);
    this.#begin(request, response, false, (visit) => this.#options.tunnels.open(visit, socket, firstBytes));
  }

  #begin(
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    forward: (visit: Visit) => Promise<void>,
  ): void {
    this.requests += 1;
    const { socket } = request;
    this.#responses.set(socket, response);
    if (this.#leaving) {
      response.shouldKeepAlive = false;
      socket.setTimeout(0);
    }
    response.on("error", () => response.destroy());
    this.#forward(request, response, expectsContinue, forward).catch((error: unknown) => {
      if (response.destroyed) return; // The client has left: there is nobody to answer.
      if (!request.complete && expectsContinue) response.shouldKeepAlive = false;
      if (error instanceof Refusal) return refuse(request, response, error);
      answerPlain(response, new Refusal(502, "The request could not be forwarded.", { cause: error }));
    });
  }

  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    forward: (visit: Visit) => Promise<void>,
  ): Promise<void> {
    const facts = { beganAt: performance.now(), answeredAt: 0, bytesIn: 0, bytesOut: 0 };
    const visit: Visit = { request, response, head: readHead(request), expectsContinue, ...facts };
    response.once("close", () => this.#options.onEnd(visit));
    await forward(visit);
  }

  /** What could not be read as HTTP, or not in time. What follows on the connection means nothing. */
  #failed(error: NodeJS.ErrnoException, duplex: Duplex): void {
    const response = this.#responses.get(duplex);
    const isAnswering = response?.headersSent === true && !response.writableFinished;
    if (isAnswering || !duplex.writable || error.code === "ECONNRESET") duplex.destroy();
    else if (error.code === "HPE_HEADER_OVERFLOW") answerRaw(duplex, 431);
    else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") answerRaw(duplex, 408);
    else answerRaw(duplex, 400);
  }
}

/** The one answer that depends on the path: a load balancer's check reaches no app. */
function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  const isPing = refusal.status === 404 && request.url?.split("?")[0] === "/_ping_";
  answerPlain(response, isPing ? new Refusal(200, "pong") : refusal);
}

const reasons = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
} as const;

function answerRaw(socket: Duplex, status: keyof typeof reasons): void {
  if (socket.writableEnded) return;
  socket.end(`HTTP/1.1 ${status} ${reasons[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  // Closing with bytes unread resets the connection, which can take the answer with it.
  (socket as Socket).setTimeout(leavingKeepAliveMs, () => socket.destroy());
  socket.once("end", () => socket.destroy()).resume();
}
