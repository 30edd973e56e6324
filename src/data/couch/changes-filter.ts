import type { Document } from "pouchdb-core";
import { matchesSelector } from "pouchdb-selector-core";
import { z } from "zod";
import type { Database } from "./database.ts";
import { badRequest, notFound } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { Selector } from "./selector.ts";

/** Whether a document's change belongs to a feed. */
export type Filter = (document: Document) => boolean;

export const ChangesBody = z.looseObject({
  doc_ids: z.array(z.string()).optional(),
  selector: Selector.optional(),
});

/** What a request wants to see of the changes: all, some documents, or those that a filter lets through. */
export async function readFilter(
  exchange: Exchange,
  database: Database,
  { doc_ids, selector }: z.infer<typeof ChangesBody>,
): Promise<{ doc_ids?: string[] | undefined; filter: Filter | null }> {
  const name = exchange.text("filter");
  if (name === "_doc_ids" || (name === undefined && doc_ids !== undefined)) {
    const ids = doc_ids ?? exchange.parameter("doc_ids", z.array(z.string()));
    if (ids === undefined) throw badRequest("`doc_ids` filter parameter is not provided.");
    return { doc_ids: ids, filter: null };
  }
  if (name === undefined) return { filter: null };
  if (name === "_selector") {
    if (selector === undefined) throw badRequest("Missing selector in POST payload");
    return { filter: (document) => matches(document, selector) };
  }
  if (name === "_design") return { filter: ({ _id }) => _id.startsWith("_design/") };
  if (name === "_view") return { filter: await viewFilter(exchange, database) };
  return { filter: await designFilter(exchange, database, name) };
}

function matches(document: Document, selector: object): boolean {
  try {
    return matchesSelector(document, selector);
  } catch {
    throw badRequest("the selector is not one");
  }
}

const FunctionsOf = z.looseObject({
  filters: z.record(z.string(), z.string()).optional(),
  views: z.record(z.string(), z.looseObject({ map: z.string().optional() })).optional(),
});

async function viewFilter(exchange: Exchange, { pouch, scripts }: Database): Promise<Filter> {
  const [design = "", name = ""] = (exchange.text("view") ?? "").split("/");
  const { views = {} } = FunctionsOf.parse(await pouch.get(`_design/${design}`));
  const map = Object.hasOwn(views, name) ? views[name]?.map : undefined;
  if (map === undefined) throw notFound("missing json key: views");
  return scripts.emits(map);
}

async function designFilter(exchange: Exchange, { pouch, scripts }: Database, path: string): Promise<Filter> {
  const [design = "", name] = path.split("/");
  if (name === undefined) throw badRequest("filter must be of the form `designname/filtername`");
  const { filters = {} } = FunctionsOf.parse(await pouch.get(`_design/${design}`));
  const source = Object.hasOwn(filters, name) ? filters[name] : undefined;
  if (source === undefined) throw notFound("missing json key: filters");
  const filter = scripts.filter(source);
  const request = { query: Object.fromEntries(exchange.query), method: exchange.method };
  return (document) => filter(document, request);
}
