import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline, type Transform } from "node:stream";
import { wholeBytes } from "./answer.ts";
import type { Failure } from "./attempts.ts";
import type { Incoming } from "./forward.ts";
import { answerHeaders } from "./headers.ts";
import type { SequencePlace } from "./sequence-places.ts";
import { markFeed, markPage, markUpdateSequence, type Side } from "./sequences.ts";

type End = (outcome: "done" | Failure) => void;

/**
 * Passes an answer on. What is cut off in the middle is cut off for the app too. `place`: where its sequences are marked with
 * `side`.
 */
export function pass(
  received: IncomingMessage,
  { request, response }: Incoming,
  { side, place }: { side: Side; place: SequencePlace },
  end: End,
): void {
  const marked = received.statusCode === 200 && request.method !== "HEAD" ? place : "nowhere";
  const headers = answerHeaders(received, marked !== "nowhere");
  const isSmall = Number(received.headers["content-length"] ?? Number.NaN) <= wholeBytes;
  received.once("error", () => end("failed"));
  if (marked === "nowhere") {
    if (isSmall) passWhole(received, response, headers, end);
    else passAsItComes(received, response, headers, end);
  } else if (marked === "page" && isSmall) {
    passWhole(received, response, headers, end, (text) => markUpdateSequence(side, text));
  } else {
    passMarked(received, response, headers, end, marked === "page" ? markPage(side) : markFeed(side));
  }
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
