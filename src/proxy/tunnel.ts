import { type ClientRequest, request as httpRequest, type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { passOn } from "./answer.ts";
import { requestHeaders } from "./headers.ts";
import { withoutPrefix } from "./mounts.ts";
import type { Passages } from "./passage.ts";
import { Refusal } from "./refusal.ts";
import { setCookie } from "./sticky.ts";
import { clientLeaves, type Visit } from "./visit.ts";

/**
 * When one side has ended, how long the other may take to end too, ms without a byte. A WebSocket knows no half-closed
 * state (RFC 6455, 7.1.4): who ends it says nothing more and reads nothing more.
 */
const halfClosedMs = 30_000;

export type TunnelsOptions = {
  passages: Passages<Socket>;
  isTrusted: (address: string) => boolean;
};

/**
 * Whether a request is to become a tunnel: RFC 9110, 7.8. One with a body is not, and is forwarded without its
 * `Upgrade`, as the RFC allows; so is h2c, which would carry requests that nobody has checked.
 */
export function wantsTunnel({ method, headers }: IncomingMessage): boolean {
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  return method === "GET" && !hasBody && headers.upgrade?.toLowerCase() !== "h2c";
}

/** A response on a connection that Node's server has let go of for an upgrade. The connection ends with it. */
export function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once("finish", () => socket.end());
  return response;
}

/** WebSockets, and whatever else a connection is upgraded to: bytes both ways until both have ended. */
export class Tunnels {
  readonly #options: TunnelsOptions;

  constructor(options: TunnelsOptions) {
    this.#options = options;
  }

  /** Resolves when the request is on its way. Throws a `Refusal`, or the reason of a client that left. */
  async open(visit: Visit, socket: Socket, firstBytes: Buffer): Promise<void> {
    const { passages, isTrusted } = this.#options;
    const { request, response, head } = visit;
    // Read, but not consumed: what is not read at all is not seen to close either.
    socket.on("readable", notice);
    const { lease, place, connected } = await passages.open(head, "stream", clientLeaves(response));
    socket.once("close", () => lease.release());
    if (!connected) throw new Refusal(502, "The app cannot be reached.");
    visit.targetPort = lease.upstream.port;
    const headers = requestHeaders(request, head, isTrusted, place.stripped);
    const outgoing = httpRequest({
      createConnection: () => connected,
      method: "GET",
      path: withoutPrefix(head.path, place.stripped),
      headers: { ...headers, Connection: "Upgrade", Upgrade: request.headers.upgrade ?? "" },
    });
    socket.once("close", () => outgoing.destroy());
    const { answerMs, streamIdleMs } = place.route.bounds;
    const more = setCookie(visit, { place, lease });
    this.#await(outgoing, visit, { answerMs, more }, (incoming, upstream, moreBytes) => {
      socket.off("readable", notice);
      lease.answered();
      visit.answeredAt = performance.now();
      socket.once("close", () => {
        [visit.bytesIn, visit.bytesOut] = [upstream.bytesWritten, upstream.bytesRead];
      });
      socket.write(answerHead(incoming, more), "latin1");
      socket.write(moreBytes);
      upstream.write(firstBytes);
      join(socket, upstream, isWebSocket(request));
      if (Number.isFinite(streamIdleMs)) socket.setTimeout(streamIdleMs, () => socket.destroy());
    });
    outgoing.end();
  }

  #await(
    outgoing: ClientRequest,
    { response }: Visit,
    { answerMs, more }: { answerMs: number; more: readonly string[] },
    onUpgrade: (incoming: IncomingMessage, upstream: Socket, moreBytes: Buffer) => void,
  ): void {
    const fail = (status: number, message: string): void => {
      if (response.headersSent || response.destroyed) return;
      answerPlainly(response, status, message);
      outgoing.destroy();
    };
    const timer = setTimeout(() => fail(504, "The app did not answer in time."), answerMs);
    outgoing.once("response", (incoming) => passOn(incoming, response, more));
    outgoing.once("upgrade", (incoming, upstream, moreBytes) => {
      onUpgrade(incoming, upstream as Socket, moreBytes);
    });
    outgoing.once("error", () => fail(502, "The app broke off before it answered."));
    for (const event of ["response", "upgrade", "close"]) outgoing.once(event, () => clearTimeout(timer));
  }
}

function answerPlainly(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(message);
}

/** As the app wrote it: `Connection` and `Upgrade` are what this answer is about. */
function answerHead({ statusMessage, rawHeaders }: IncomingMessage, more: readonly string[]): string {
  const fields = [...rawHeaders, ...more];
  const lines = [`HTTP/1.1 101 ${statusMessage ?? ""}`];
  for (let at = 0; at < fields.length; at += 2) lines.push(`${fields[at]}: ${fields[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}

const isWebSocket = ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket";

function notice(): void {}

function join(client: Socket, upstream: Socket, endsWhole: boolean): void {
  client.setTimeout(0).setNoDelay(true);
  upstream.setTimeout(0).setNoDelay(true);
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.once("close", () => to.destroySoon());
    from.once("end", () => (endsWhole ? to.destroySoon() : to.setTimeout(halfClosedMs, () => to.destroy())));
  }
}
