import type { Change } from "pouchdb-core";
import { z } from "zod";
import { aborted } from "../../lib/aborted.ts";
import { ChangesBody, type Filter, readFilter } from "./changes-filter.ts";
import type { Handler, Route } from "./context.ts";
import type { Database } from "./database.ts";
import { badRequest } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { Feed, FeedWriter } from "./feed-writer.ts";

/* The feed of changes: https://docs.couchdb.org/en/stable/api/database/changes.html */

const pageSize = 200;
/** CouchDB's: how long a feed without a heartbeat waits for a change, ms. */
const defaultTimeoutMs = 60_000;

type Asked = {
  feed: Feed;
  since: number;
  limit: number;
  descending: boolean;
  heartbeatMs: number | null;
  timeoutMs: number;
  options: Record<string, unknown>;
  filter: Filter | null;
};

const changes: Handler = async (exchange, { databases }, { db = "" }) => {
  const database = await databases.get(db);
  const asked = await readAsked(exchange, database);
  exchange.response.writeHead(200, {
    "content-type": asked.feed === "eventsource" ? "text/event-stream" : "application/json",
    "cache-control": "must-revalidate",
  });
  const feed = new FeedWriter(exchange, asked.feed);
  await feed.open();
  await run(database, asked, feed, exchange.gone);
};

/**
 * Writes what has changed since, page by page, as the client takes it; then, for a feed that waits, what changes from
 * there on. Ends when the client goes, the limit is reached, or nothing came for as long as was asked.
 */
async function run(database: Database, asked: Asked, feed: FeedWriter, gone: AbortSignal): Promise<void> {
  const isLive = asked.feed === "continuous" || asked.feed === "eventsource";
  const beats = asked.heartbeatMs === null ? null : setInterval(() => feed.beat(), asked.heartbeatMs);
  const left = aborted(gone).then(() => false);
  let since = asked.since;
  try {
    while (!gone.aborted) {
      // Asked for before the pages are read: what changes in between is not missed.
      const changed = database.nextChange();
      since = await writePages(database, asked, feed, since, gone);
      if (asked.feed === "normal" || feed.count >= asked.limit || (!isLive && feed.count > 0)) break;
      feed.flush();
      if (!(await within(Promise.race([changed, left]), beats === null ? asked.timeoutMs : null))) break;
    }
  } finally {
    if (beats) clearInterval(beats);
  }
  if (gone.aborted) return;
  const { update_seq } = await database.pouch.info();
  feed.close(since, Math.max(0, update_seq - since));
}

/** Whether the event came, and was a change; false when the time has passed first. */
async function within(event: Promise<boolean>, ms: number | null): Promise<boolean> {
  if (ms === null) return event;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([event, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves with the sequence up to which everything has been written. */
async function writePages(
  { pouch }: Database,
  { limit, filter, descending, options }: Asked,
  feed: FeedWriter,
  from: number,
  gone: AbortSignal,
): Promise<number> {
  let since = from;
  while (!gone.aborted) {
    const left = limit - feed.count;
    if (left <= 0) return since;
    // A filter is applied to a page that was read, so that its size bounds the work done between two breaths.
    const size = descending ? left : filter ? pageSize : Math.min(left, pageSize);
    const { update_seq } = await pouch.info();
    const page = await pouch.changes({ ...options, since, limit: size, return_docs: true });
    for (const change of page.results) {
      if (feed.count >= limit) return since;
      if (!filter || (change.doc && filter(change.doc))) await feed.write(shown(change, options));
      since = change.seq;
    }
    if (descending) return since;
    // All that there was before the page was read has been seen, also what was not meant.
    if (page.results.length < size) return Math.max(since, update_seq);
  }
  return since;
}

/** A filter looks at the document, which the client has perhaps not asked for. */
function shown({ seq, id, changes, deleted, doc }: Change, options: Asked["options"]): object {
  return {
    seq,
    id,
    changes,
    ...(deleted ? { deleted } : {}),
    ...(options["shows_docs"] === true && doc ? { doc } : {}),
  };
}

async function readAsked(exchange: Exchange, database: Database): Promise<Asked> {
  const hasBody = exchange.method === "POST" && exchange.header("content-length") !== "0";
  const body = hasBody ? await exchange.json(ChangesBody) : {};
  const feed = Feed.safeParse(exchange.text("feed") ?? "normal");
  if (!feed.success) throw badRequest("Supported `feed` types: normal, continuous, longpoll, eventsource");
  const { doc_ids, filter } = await readFilter(exchange, database, body);
  const includeDocs = exchange.flag("include_docs");
  return {
    feed: feed.data,
    since: await readSince(exchange, database),
    limit:
      exchange.parameter(
        "limit",
        z
          .int()
          .min(1)
          .or(z.literal(0).transform(() => 1)),
      ) ?? Number.POSITIVE_INFINITY,
    descending: exchange.flag("descending"),
    heartbeatMs: readHeartbeat(exchange),
    timeoutMs: Math.min(exchange.parameter("timeout", z.int().min(0)) ?? defaultTimeoutMs, defaultTimeoutMs),
    filter,
    options: {
      descending: exchange.flag("descending"),
      style: exchange.text("style") === "all_docs" ? "all_docs" : "main_only",
      include_docs: includeDocs || filter !== null,
      shows_docs: includeDocs,
      conflicts: exchange.flag("conflicts"),
      attachments: includeDocs && exchange.flag("attachments"),
      ...(doc_ids === undefined ? {} : { doc_ids }),
    },
  };
}

function readHeartbeat(exchange: Exchange): number | null {
  const asked = exchange.parameter("heartbeat", z.union([z.boolean(), z.int().min(1)]));
  if (asked === undefined || asked === false) return null;
  return asked === true ? defaultTimeoutMs : Math.max(asked, 100);
}

/** "now", a sequence of this server, or 0. */
async function readSince(exchange: Exchange, { pouch }: Database): Promise<number> {
  const text = exchange.text("since") ?? exchange.header("last-event-id") ?? "0";
  const { update_seq } = await pouch.info();
  if (text === "now") return update_seq;
  const match = /^"?(\d{1,15})(?:-.*)?"?$/s.exec(text);
  if (!match) throw badRequest("Malformed sequence supplied in 'since' parameter.");
  return Number(match[1]);
}

export const changesRoutes: Route[] = ["GET", "POST"].map((method) => ({
  method,
  path: "/:db/_changes",
  access: "member",
  handle: changes,
}));
