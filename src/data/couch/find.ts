import { z } from "zod";
import type { Handler, Route } from "./context.ts";
import { badRequest, CouchError, notFound } from "./errors.ts";
import { Selector } from "./selector.ts";

/* Queries by selectors: https://docs.couchdb.org/en/stable/api/database/find.html */

const SortField = z.union([z.string(), z.record(z.string(), z.enum(["asc", "desc"]))]);
const Find = z.object({
  selector: Selector,
  fields: z.array(z.string()).optional(),
  sort: z.array(SortField).optional(),
  limit: z.int().min(0).default(25),
  skip: z.int().min(0).default(0),
  bookmark: z.string().nullable().optional(),
  use_index: z.union([z.string(), z.array(z.string()).min(1).max(2)]).optional(),
  conflicts: z.literal(false).optional(),
});

const find: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const { bookmark, conflicts: _, ...asked } = withoutEmpty(await exchange.json(Find));
  const start = asked.skip + readBookmark(bookmark);
  // PouchDB cannot answer nothing.
  const { docs, warning } = asked.limit === 0 ? { docs: [] } : await pouch.find({ ...asked, skip: start });
  exchange.send(200, {
    docs,
    bookmark: docs.length === 0 ? "nil" : formatBookmark(start - asked.skip + docs.length),
    ...(warning === undefined ? {} : { warning }),
  });
};

/** An empty sort or use_index is none, and PouchDB is particular about it. */
function withoutEmpty<T extends { sort?: unknown[] | undefined; use_index?: unknown }>(asked: T): T {
  const given = Object.entries(asked).filter(
    ([, value]) => !(Array.isArray(value) && value.length === 0) && value !== undefined,
  );
  return Object.fromEntries(given) as T;
}

/** A place in the result, counted from its beginning: what is written meanwhile may move it. */
const formatBookmark = (place: number) => Buffer.from(`m${place}`).toString("base64url");

function readBookmark(bookmark: string | null | undefined): number {
  if (bookmark === undefined || bookmark === null || bookmark === "nil" || bookmark === "") return 0;
  const place = /^m(\d{1,12})$/.exec(Buffer.from(bookmark, "base64url").toString("latin1"))?.[1];
  if (place === undefined)
    throw new CouchError(400, "invalid_bookmark", `Invalid bookmark value: ${bookmark.slice(0, 100)}`);
  return Number(place);
}

const explain: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const { bookmark: _b, conflicts: _c, ...asked } = withoutEmpty(await exchange.json(Find));
  exchange.send(200, { ...(await pouch.explain(asked)), dbname: db });
};

const IndexRequest = z.object({
  index: z.object({ fields: z.array(SortField).min(1), partial_filter_selector: Selector.optional() }),
  ddoc: z.string().min(1).optional(),
  name: z.string().min(1).optional(),
  type: z.string().default("json"),
  partitioned: z.literal(false).optional(),
});

const createIndex: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const { type, ddoc, name, index } = await exchange.json(IndexRequest);
  if (type !== "json") throw new CouchError(501, "not_implemented", `indexes of type ${type} are not there`);
  if (ddoc !== undefined && !/^(_design\/)?[^/]+$/.test(ddoc)) throw badRequest("ddoc is not a name");
  const design = ddoc?.replace(/^_design\//, "");
  const created = await pouch.createIndex({
    index: {
      ...index,
      ...(design === undefined ? {} : { ddoc: design }),
      ...(name === undefined ? {} : { name }),
    },
  });
  exchange.send(200, { result: created.result, id: created.id, name: created.name });
};

const getIndexes: Handler = async (exchange, { databases }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  const { total_rows, indexes } = await pouch.getIndexes();
  exchange.send(200, { total_rows, indexes });
};

const deleteIndex: Handler = async (exchange, context, parameters) => {
  const { pouch } = await context.databases.get(parameters["db"] ?? "");
  const { ddoc = "", name = "" } = parameters;
  const design = ddoc.startsWith("_design/") ? ddoc : `_design/${ddoc}`;
  const { indexes } = Indexes.parse(await pouch.getIndexes());
  if (!indexes.some((index) => index.ddoc === design && index.name === name)) throw notFound();
  await pouch.deleteIndex({ ddoc: design, name });
  exchange.send(200, { ok: true });
};

const Indexes = z.object({ indexes: z.array(z.object({ ddoc: z.string().nullable(), name: z.string() })) });

export const findRoutes: Route[] = [
  { method: "POST", path: "/:db/_find", access: "member", handle: find },
  { method: "POST", path: "/:db/_explain", access: "member", handle: explain },
  { method: "POST", path: "/:db/_index", access: "database admin", handle: createIndex },
  { method: "GET", path: "/:db/_index", access: "member", handle: getIndexes },
  { method: "DELETE", path: "/:db/_index/:ddoc/json/:name", access: "database admin", handle: deleteIndex },
  {
    method: "DELETE",
    path: "/:db/_index/_design/:ddoc/json/:name",
    access: "database admin",
    handle: deleteIndex,
  },
];
