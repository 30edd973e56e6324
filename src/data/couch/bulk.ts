import { z } from "zod";
import type { Handler, Route } from "./context.ts";
import type { Database } from "./database.ts";
import { checkDocument, checkSize } from "./document.ts";
import { CouchError, toCouchError } from "./errors.ts";
import { openRevisions, type Revision } from "./revisions.ts";
import { newId, writeAll } from "./writes.ts";

/* Many documents at once: https://docs.couchdb.org/en/stable/api/database/bulk-api.html */

const BulkDocs = z.object({
  docs: z.array(z.looseObject({ _id: z.string().optional() })),
  new_edits: z.boolean().default(true),
});

const bulkDocs: Handler = async (exchange, context, { db = "" }) => {
  const database = await context.databases.get(db);
  const { docs, new_edits } = await exchange.json(BulkDocs);
  const documents = docs.map((value) =>
    checkDocument(value, value._id ?? newId(), exchange.limits, new_edits),
  );
  for (const document of documents) checkSize(document, exchange.limits);
  exchange.send(201, await writeAll(context, database, exchange.user, documents, new_edits));
};

const BulkGet = z.object({ docs: z.array(z.object({ id: z.string(), rev: z.string().optional() })) });
/** Revisions of many documents, as replicators ask for them. */
const bulkGet: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const { docs } = await exchange.json(BulkGet);
  const options = {
    revs: exchange.flag("revs"),
    latest: exchange.flag("latest"),
    attachments: exchange.flag("attachments"),
  };
  const read = async ({ id, rev }: { id: string; rev?: string | undefined }) => {
    const open_revs = rev === undefined ? "all" : [rev];
    return openRevisions(pouch, id, open_revs, options);
  };
  const results = await Promise.all(
    docs.map(async ({ id, rev }) => {
      const found = await read({ id, rev }).catch((error: unknown) => [{ error: toCouchError(error) }]);
      return { id, docs: found.map((revision) => bulkGetResult(id, rev, revision)) };
    }),
  );
  exchange.send(200, { results });
};

type Found = Revision | { error: CouchError };

function bulkGetResult(id: string, rev: string | undefined, found: Found): object {
  if ("ok" in found) return { ok: found.ok };
  const missing = "missing" in found ? found.missing : (rev ?? "undefined");
  const { error, message } = "error" in found ? found.error : new CouchError(404, "not_found", "missing");
  return { error: { id, rev: missing, error, reason: message } };
}

const Keys = z.object({ keys: z.array(z.string()).optional() });
const key = z.string("the keys of documents are strings");

/** The parameters of a range of documents, from the query or, with the same names, from a body. */
const Range = z.object({
  key: key.optional(),
  startkey: key.optional(),
  start_key: key.optional(),
  endkey: key.optional(),
  end_key: key.optional(),
  keys: z.array(z.string()).optional(),
  limit: z.int().min(0).optional(),
  skip: z.int().min(0).default(0),
  descending: z.boolean().default(false),
  inclusive_end: z.boolean().default(true),
  include_docs: z.boolean().default(false),
  conflicts: z.boolean().default(false),
  attachments: z.boolean().default(false),
  update_seq: z.boolean().default(false),
});
type Range = z.infer<typeof Range>;

const allDocs: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const body = exchange.method === "POST" ? await exchange.json(Keys) : {};
  exchange.send(200, await readRange(pouch, { ...readQuery(exchange.query), ...body }));
};

/** Every known parameter of the query, each of which is JSON. */
function readQuery(query: URLSearchParams): Range {
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(Range.shape)) {
    const text = query.get(name);
    if (text !== null) given[name] = parameter(name, text);
  }
  const parsed = Range.safeParse(given);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CouchError(400, "query_parse_error", `${issue?.path.join(".")}: ${issue?.message}`);
}

function parameter(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CouchError(400, "query_parse_error", `Invalid value for ${name}: ${text.slice(0, 100)}`);
  }
}

async function readRange(pouch: Database["pouch"], range: Range): Promise<object> {
  const { startkey, start_key, endkey, end_key, key: only, keys, limit, ...options } = range;
  const from = startkey ?? start_key;
  const to = endkey ?? end_key;
  const read = await pouch.allDocs({
    ...options,
    ...(from === undefined ? {} : { startkey: from }),
    ...(to === undefined ? {} : { endkey: to }),
    ...(only === undefined ? {} : { key: only }),
    ...(limit === undefined ? {} : { limit }),
    ...(keys === undefined ? {} : { keys }),
  });
  return rowsLast({ ...read, offset: read.offset ?? 0 });
}

/** In CouchDB's order: whoever reads a page as it comes knows all else before the rows. */
export const rowsLast = <Page extends { rows: unknown }>({ rows, ...head }: Page) => ({ ...head, rows });

const Queries = z.object({ queries: z.array(Range) });

const allDocsQueries: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const { queries } = await exchange.json(Queries);
  const results: object[] = [];
  for (const query of queries) results.push(await readRange(pouch, query));
  exchange.send(200, { results });
};

const designDocs: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const range = readQuery(exchange.query);
  const design = { startkey: "_design/", endkey: "_design0", inclusive_end: false };
  exchange.send(200, await readRange(pouch, { ...range, ...design, descending: false }));
};

const RevisionsOfDocuments = z.record(z.string(), z.array(z.string()));

const revsDiff: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const asked = await exchange.json(RevisionsOfDocuments);
  exchange.send(200, await pouch.revsDiff(asked));
};

const missingRevs: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const found = await pouch.revsDiff(await exchange.json(RevisionsOfDocuments));
  const missing_revs = Object.fromEntries(Object.entries(found).map(([id, { missing }]) => [id, missing]));
  exchange.send(200, { missing_revs });
};

export const bulkRoutes: Route[] = [
  { method: "POST", path: "/:db/_bulk_docs", access: "member", handle: bulkDocs },
  { method: "POST", path: "/:db/_bulk_get", access: "member", handle: bulkGet },
  { method: "GET", path: "/:db/_all_docs", access: "member", handle: allDocs },
  { method: "POST", path: "/:db/_all_docs", access: "member", handle: allDocs },
  { method: "POST", path: "/:db/_all_docs/queries", access: "member", handle: allDocsQueries },
  { method: "GET", path: "/:db/_design_docs", access: "member", handle: designDocs },
  { method: "POST", path: "/:db/_revs_diff", access: "member", handle: revsDiff },
  { method: "POST", path: "/:db/_missing_revs", access: "member", handle: missingRevs },
];
