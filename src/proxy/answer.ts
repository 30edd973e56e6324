import type { IncomingMessage, ServerResponse } from "node:http";
import { responseHeaders, trailers } from "./headers.ts";
import { answerPlain, Refusal } from "./refusal.ts";

/**
 * Passes an instance's answer on: head, body as it comes, trailers. What breaks off there breaks off here. That the
 * instance is let go of when the client leaves is up to the caller, who knows the request. `more`: fields besides its own.
 */
export function passOn(
  incoming: IncomingMessage,
  response: ServerResponse,
  more: readonly string[] = [],
): void {
  if (!writeHead(incoming, response, more)) return;
  incoming.once("end", () => {
    const fields = trailers(incoming.rawTrailers);
    if (fields.length > 0 && response.chunkedEncoding) response.addTrailers(fields);
  });
  incoming.pipe(response);
  // An answer that was cut short is seen to be. (`stream.pipeline` would do the same, at a tenth of the request.)
  incoming.once("error", () => response.destroy());
  incoming.once("close", () => {
    if (!incoming.complete) response.destroy();
  });
  process.nextTick(() => {
    // The first bytes of the body share a packet with the head if they are there; a stream's head goes alone.
    if (incoming.readableLength === 0 && !incoming.complete) response.flushHeaders();
  });
}

function writeHead(incoming: IncomingMessage, response: ServerResponse, more: readonly string[]): boolean {
  const { statusCode = 502, statusMessage = "", rawHeaders } = incoming;
  const headers = [...responseHeaders(rawHeaders), ...more];
  if (!canTrail(incoming, response)) dropTrailer(headers);
  try {
    response.writeHead(statusCode, statusMessage, headers);
    return true;
  } catch (cause) {
    // Node's parser let something in that its writer does not let out.
    incoming.destroy();
    answerPlain(response, new Refusal(502, "The app gave an answer that is not HTTP.", { cause }));
    return false;
  }
}

/** Node refuses to announce trailers where the body is not chunked. */
function canTrail({ headers }: IncomingMessage, { req }: ServerResponse): boolean {
  return headers["transfer-encoding"] !== undefined && req.httpVersion === "1.1" && req.method !== "HEAD";
}

function dropTrailer(headers: string[]): void {
  for (let at = headers.length - 2; at >= 0; at -= 2) {
    if (headers[at]?.toLowerCase() === "trailer") headers.splice(at, 2);
  }
}

export function isEventStream({ headers }: IncomingMessage): boolean {
  return /^text\/event-stream\s*(?:;|$)/i.test(headers["content-type"] ?? "");
}
