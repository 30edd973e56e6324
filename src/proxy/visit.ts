import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestHead } from "./request-head.ts";

/** One request and its answer, from the moment that its head was found sound. */
export type Visit = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: RequestHead;
  /** The client sends the body only after a `100 Continue`, which is the app's to give. */
  readonly expectsContinue: boolean;
  readonly beganAt: number;
  /** When its answer began; 0 before that. */
  answeredAt: number;
  /** Of its body and of the answer's. */
  bytesIn: number;
  bytesOut: number;
  /** Where it went, for the access log. */
  targetPort?: number;
};

/** Aborted when the client has left before it was answered in full. */
export function clientLeaves(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  if (response.destroyed) left.abort();
  else response.once("close", () => left.abort());
  return left.signal;
}

/** Counts what a visit has come to, when it has ended. */
export function countVisit({ head, response, beganAt, answeredAt, bytesIn, bytesOut }: Visit): void {
  const status = response.headersSent ? response.statusCode : 0;
  head.place?.route.counts.record(status, (answeredAt || performance.now()) - beganAt, bytesIn, bytesOut);
}

export function noteAnswer(visit: Visit, incoming: IncomingMessage): void {
  visit.answeredAt = performance.now();
  incoming.on("data", (part: Buffer) => {
    visit.bytesOut += part.length;
  });
  incoming.pause(); // Whoever passes it on sets it flowing.
}
