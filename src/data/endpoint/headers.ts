import type { IncomingMessage } from "node:http";

/* Heads are copied as they came, in the flat form that Node reads and writes without looking at each. */

const names = (list: string): ReadonlySet<string> => new Set(list.split(" "));
/** What concerns one connection only, and what the endpoint says in its own words. */
const notAsked = names(
  "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade " +
    "expect host authorization cookie last-event-id content-length " +
    "x-auth-couchdb-username x-auth-couchdb-roles x-auth-couchdb-token",
);
const notAnswered = names("connection keep-alive transfer-encoding set-cookie www-authenticate trailer");

/**
 * The head for the server behind. `body`: what there is of it already; null: it comes as it comes. `mayCompress`: the answer
 * may come compressed, if the app takes that.
 */
export function outgoingHeaders(
  { rawHeaders, headers, method }: IncomingMessage,
  own: { authorization: string; host: string },
  body: Buffer | null,
  mayCompress: boolean,
): string[] {
  const sent = ["host", own.host, "authorization", own.authorization];
  copy(rawHeaders, sent, (name) => !notAsked.has(name) && (mayCompress || name !== "accept-encoding"));
  const length = body === null ? headers["content-length"] : String(body.length);
  if (length === undefined) sent.push("transfer-encoding", "chunked");
  else if (length !== "0" || method !== "GET") sent.push("content-length", length);
  return sent;
}

/** The head for the app. A location that names the server behind is left out. */
export function answerHeaders({ rawHeaders }: IncomingMessage, isRewritten: boolean): string[] {
  const passed: string[] = [];
  copy(rawHeaders, passed, (name, value) => {
    if (notAnswered.has(name) || (isRewritten && name === "content-length")) return false;
    return name !== "location" || !/^https?:/.test(value);
  });
  return passed;
}

function copy(from: readonly string[], to: string[], passes: (name: string, value: string) => boolean): void {
  for (let index = 0; index + 1 < from.length; index += 2) {
    const [name = "", value = ""] = [from[index], from[index + 1]];
    if (passes(name.toLowerCase(), value)) to.push(name, value);
  }
}
