import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import type { Admission } from "./admission.ts";
import { type Failure, failureOf, isReading, mostAttempts, nowhere } from "./attempts.ts";
import { pathAt, type Target } from "./entrance.ts";
import { outgoingHeaders } from "./headers.ts";
import type { Home } from "./home.ts";
import { keptBody } from "./kept-body.ts";
import { pass } from "./pass.ts";
import { refusal } from "./refusal.ts";
import { sequencePlace } from "./sequence-places.ts";
import { readSequence, type Side } from "./sequences.ts";

export type Incoming = Target & { request: IncomingMessage; response: ServerResponse };

/** A failure that the app is told of in CouchDB's form. */
export function refuse(response: ServerResponse, status: number, error: string, reason: string): void {
  if (response.headersSent) return void response.destroy();
  const { headers, json } = refusal(status, error, reason, !response.req.complete);
  response.writeHead(status, headers).end(json);
}

/** Sends a request to where its database is served from. One that changes nothing is sent again when a server fails. */
export async function forward(incoming: Incoming, home: Home): Promise<void> {
  const { request, response } = incoming;
  const body = await keptBody(request);
  for (let attempt = 1; ; attempt += 1) {
    const admission = await home.admit();
    if (response.destroyed) return admission?.release();
    if (!admission) return refuse(response, 503, "service_unavailable", nowhere);
    if (admission.side === "remote" && hasFilterFunction(incoming)) {
      admission.release();
      return refuse(response, 501, "not_implemented", "filter functions do not run at the second home");
    }
    const outcome = await exchange(incoming, body, admission, home).finally(admission.release);
    if (outcome === "done") return;
    const settled = home.healthOf(admission.side)?.settled();
    if (response.headersSent || response.destroyed) return void response.destroy();
    const mayRepeat = body !== null && (outcome === "not sent" || isSafe(incoming));
    if (mayRepeat && attempt < mostAttempts) {
      await settled;
      continue;
    }
    return refuse(response, 503, "service_unavailable", failureOf(isSafe(incoming)));
  }
}

/**
 * Whether a feed is filtered by a function of a design document. It would get the request's head, and with it the
 * credentials of the second home. CouchDB takes names in whatever case, and a semicolon for an ampersand.
 */
function hasFilterFunction({ path, search }: Incoming): boolean {
  if (path[1] !== "_changes") return false;
  const query = [...new URLSearchParams(search.replaceAll(";", "&"))];
  return query.some(([name, value]) => name.toLowerCase() === "filter" && /^[^_]/.test(value));
}

type Outcome = "done" | Failure;

const isSafe = ({ request, path }: Incoming) => isReading(request.method ?? "", path);

/** One attempt. */
async function exchange(
  incoming: Incoming,
  body: Buffer | null,
  admission: Admission,
  home: Home,
): Promise<Outcome> {
  const { request, response, path } = incoming;
  const { method = "GET" } = request;
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const isFeed = path[1] === "_changes";
  const { side } = admission;
  const target = targetOf(incoming, side, home);
  const { authorization, backend } = admission;
  const place = home.remote === null ? "nowhere" : sequencePlace({ ...incoming, method, body });
  // What comes compressed could not be marked.
  const headers = outgoingHeaders(request, { authorization, host: backend.host }, body, place === "nowhere");
  const outgoing = backend.open(home.account.app, method, target, headers);
  const { signal } = home.serving.leaving;
  const end = (outcome: Outcome) => {
    if (isFeed) signal.removeEventListener("abort", leave);
    response.off("close", abandon);
    resolve(outcome);
  };
  const abandon = () => {
    outgoing.destroy();
    end("done");
  };
  let answer: IncomingMessage | null = null;
  // A feed is no reason to wait, and does not go on at a server that its database has left.
  const leave = () => (isFeed ? endFeed(incoming, answer) : undefined);
  // What is only read is no reason to wait when the database goes home.
  if (isSafe(incoming)) admission.release();
  if (isFeed) {
    signal.addEventListener("abort", leave, { once: true });
  }
  response.once("close", abandon);
  outgoing.once("error", (error: NodeJS.ErrnoException) =>
    end(error.code === "ECONNREFUSED" || error.code === "ENOENT" ? "not sent" : "failed"),
  );
  outgoing.once("response", (received) => {
    answer = received;
    pass(received, incoming, { side, place }, end);
  });
  if (body?.length === 0) outgoing.end();
  else if (body) outgoing.end(body);
  else pipeline(request, outgoing, () => {}); // What fails is told by "error" above.
  return promise;
}

/** Ends a feed in its form, so that its app asks again: with what it has seen, or from where it was. */
function endFeed({ response, search }: Incoming, answer: IncomingMessage | null): void {
  if (answer === null || response.writableEnded) return;
  const query = new URLSearchParams(search);
  const feed = query.get("feed") ?? "normal";
  answer.unpipe();
  answer.destroy();
  if (feed !== "longpoll") return void response.destroy();
  const since = query.get("since") ?? "0";
  response.end(`\n],\n"last_seq":${JSON.stringify(since)},"pending":0}\n`);
}

/** The path at a server, its `since` in the server's own terms. At the remote the database may have another name. */
function targetOf({ request, path, search }: Incoming, side: Side, home: Home): string {
  const [whole = ""] = (request.url ?? "/").split("?");
  const plain = pathAt(side, whole);
  if (path[1] !== "_changes" || search === "") return plain + search;
  const query = new URLSearchParams(search);
  const since = query.get("since") ?? request.headers["last-event-id"];
  if (typeof since !== "string") return plain + search;
  const seen = readSequence(since);
  query.set(
    "since",
    seen.side === null || seen.side === side ? seen.seq : home.checkpoints.resume(side, seen.seq),
  );
  return `${plain}?${query}`;
}
