import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestHead } from "./request-head.ts";

/** One request and its answer, from the moment that its head was found sound. */
export type Visit = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: RequestHead;
  /** The client sends the body only after a `100 Continue`, which is the app's to give. */
  readonly expectsContinue: boolean;
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
