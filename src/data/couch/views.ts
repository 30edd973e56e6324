import { z } from "zod";
import { rowsLast } from "./bulk.ts";
import type { Handler, Parameters, Route } from "./context.ts";
import type { Database } from "./database.ts";
import { CouchError, notImplemented } from "./errors.ts";
import type { Exchange } from "./exchange.ts";

/* Views of design documents: https://docs.couchdb.org/en/stable/api/ddoc/views.html */

const any = z.unknown();
const yes = z.boolean();
const count = z.int().min(0);
/** What a query of a view may say: in the URL each value is JSON, in a body they are fields. */
const ViewQuery = z.object({
  key: any.optional(),
  keys: z.array(any).optional(),
  startkey: any.optional(),
  start_key: any.optional(),
  endkey: any.optional(),
  end_key: any.optional(),
  inclusive_end: yes.optional(),
  descending: yes.optional(),
  limit: count.optional(),
  skip: count.optional(),
  group: yes.optional(),
  group_level: count.optional(),
  reduce: yes.optional(),
  include_docs: yes.optional(),
  conflicts: yes.optional(),
  attachments: yes.optional(),
  update_seq: yes.optional(),
});
type ViewQuery = z.infer<typeof ViewQuery>;

/** What CouchDB knows and PouchDB does not: to leave it out would be a wrong answer. */
const unknown = ["startkey_docid", "start_key_doc_id", "endkey_docid", "end_key_doc_id"];

const queryView: Handler = async (exchange, { databases }, { db = "", name, view }) => {
  const database = await databases.get(db);
  const body = exchange.method === "POST" ? await exchange.json(ViewQuery) : {};
  const query = { ...readQuery(exchange), ...body };
  exchange.send(200, await run(database, `${name}/${view}`, query, staleness(exchange)));
};

const queryMany: Handler = async (exchange, { databases }, { db = "", name, view }) => {
  const database = await databases.get(db);
  const { queries } = await exchange.json(z.object({ queries: z.array(ViewQuery) }));
  const results: object[] = [];
  for (const query of queries)
    results.push(await run(database, `${name}/${view}`, query, staleness(exchange)));
  exchange.send(200, { results });
};

async function run(database: Database, view: string, query: ViewQuery, stale: object): Promise<object> {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const result = await database.query(view, { ...Object.fromEntries(given), ...stale });
  await refuseStopped(database, view);
  return rowsLast(result);
}

/** A view whose function was stopped is not whole: to show it would be a wrong answer. */
async function refuseStopped({ pouch, scripts }: Database, path: string): Promise<void> {
  const [design = "", name = ""] = path.split("/");
  const { views } = Views.parse(await pouch.get(`_design/${design}`));
  const { map } = Functions.parse(Object.hasOwn(views, name) ? views[name] : {});
  if (typeof map === "string") scripts.refuseStopped(map);
}
const Functions = z.looseObject({ map: z.unknown().optional() });

function readQuery(exchange: Exchange): ViewQuery {
  for (const name of unknown)
    if (exchange.text(name) !== undefined) throw notImplemented(`the parameter ${name}`);
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(ViewQuery.shape)) {
    const value = exchange.parameter(name, any);
    if (value !== undefined) given[name] = value;
  }
  const parsed = ViewQuery.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CouchError(400, "query_parse_error", `${issue?.path.join(".")}: ${issue?.message}`);
}

/** `update` and `stale`: whether the view may be as old as it is. */
function staleness(exchange: Exchange): { stale?: "ok" | "update_after" } {
  const update = exchange.text("update");
  const stale = exchange.text("stale");
  if (update === "false" || stale === "ok") return { stale: "ok" };
  return update === "lazy" || stale === "update_after" ? { stale: "update_after" } : {};
}

const Views = z.looseObject({
  views: z.record(z.string(), z.unknown()).default({}),
  language: z.string().optional(),
});

const designInfo: Handler = async (exchange, { databases }, { db = "", name = "" }) => {
  const { pouch } = await databases.get(db);
  const document = await pouch.get(`_design/${name}`);
  const { views, language = "javascript" } = Views.parse(document);
  const view_index = {
    language,
    signature: document._rev,
    views: Object.keys(views),
    updater_running: false,
  };
  exchange.send(200, { name, view_index });
};

const missing: Handler = async (_exchange, _context, { function: kind = "this" }: Parameters) => {
  throw notImplemented(`_${kind}`);
};
const missingFunctions = [
  "_show",
  "_list",
  "_update",
  "_rewrite",
  "_search",
  "_search_info",
  "_nouveau",
  "_geo",
];

const view = "/:db/_design/:name/_view/:view";
export const viewRoutes: Route[] = [
  { method: "GET", path: view, access: "member", handle: queryView },
  { method: "POST", path: view, access: "member", handle: queryView },
  { method: "POST", path: `${view}/queries`, access: "member", handle: queryMany },
  { method: "GET", path: "/:db/_design/:name/_info", access: "member", handle: designInfo },
  ...missingFunctions.flatMap((name) =>
    ["GET", "POST", "PUT", "DELETE"].map(
      (method): Route => ({
        method,
        path: `/:db/_design/:name/${name}/*`,
        access: "member",
        handle: (exchange, context) => missing(exchange, context, { function: name.slice(1) }),
      }),
    ),
  ),
];
