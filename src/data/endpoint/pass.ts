import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline, type Transform } from "node:stream";
import { wholeBytes } from "./answer.ts";
import type { Failure } from "./attempts.ts";
import { asksForSequence } from "./entrance.ts";
import type { Incoming } from "./forward.ts";
import { answerHeaders } from "./headers.ts";
import { markFeed, markPage, markUpdateSequence, type Side } from "./sequences.ts";

type End = (outcome: "done" | Failure) => void;

/**
 * Passes an answer on. What is cut off in the middle is cut off for the app too. `side`: with which sequences are marked;
 * null where a database has one home only.
 */
export function pass(received: IncomingMessage, incoming: Incoming, side: Side | null, end: End): void {
  const { response } = incoming;
  const carried = side !== null && received.statusCode === 200 ? carriedBy(incoming) : "nothing";
  const headers = answerHeaders(received, carried !== "nothing");
  const isSmall = Number(received.headers["content-length"] ?? Number.NaN) <= wholeBytes;
  received.once("error", () => end("failed"));
  if (side === null || carried === "nothing") {
    if (isSmall) passWhole(received, response, headers, end);
    else passAsItComes(received, response, headers, end);
  } else if (carried === "page" && isSmall) {
    passWhole(received, response, headers, end, (text) => markUpdateSequence(side, text));
  } else {
    passMarked(received, response, headers, end, carried === "page" ? markPage(side) : markFeed(side));
  }
}

/** Where an answer carries sequences: at each change, or once, before its rows. */
function carriedBy({ request, path, search }: Incoming): "changes" | "page" | "nothing" {
  if (path[1] === "_changes") return "changes";
  const isInformation = path.length === 1 && request.method === "GET";
  return isInformation || asksForSequence(search) ? "page" : "nothing";
}

/** In one write to the socket, which is most of what a small answer costs: as text, so that Node adds it to the head. */
function passWhole(
  received: IncomingMessage,
  response: ServerResponse,
  headers: string[],
  end: End,
  mark?: (text: string) => string,
): void {
  let text = "";
  received.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  received.once("end", () => {
    const whole = mark?.(text) ?? text;
    const length = mark ? ["content-length", String(whole.length)] : [];
    response.writeHead(received.statusCode ?? 502, [...headers, ...length]).end(whole, "latin1");
    end("done");
  });
}

function passAsItComes(
  received: IncomingMessage,
  response: ServerResponse,
  headers: string[],
  end: End,
): void {
  response.writeHead(received.statusCode ?? 502, headers);
  received.pipe(response);
  received.once("end", () => end("done"));
}

function passMarked(
  received: IncomingMessage,
  response: ServerResponse,
  headers: string[],
  end: End,
  marking: Transform,
): void {
  response.writeHead(received.statusCode ?? 502, headers).flushHeaders();
  pipeline(received, marking, response, (error) => end(error ? "failed" : "done"));
}
