import type { Document } from "pouchdb-core";
import { z } from "zod";
import type { Handler, Parameters, Route } from "./context.ts";
import type { Database } from "./database.ts";
import { checkDocument, checkId, checkSize } from "./document.ts";
import { badRequest, notFound } from "./errors.ts";
import { type Exchange, parseJson } from "./exchange.ts";
import { newBoundary, readRelated, relatedParts } from "./multipart.ts";
import { deletedConflicts, latestOf, localSeq, openRevisions, type Revision } from "./revisions.ts";
import { newId, write } from "./writes.ts";

/* Single documents: https://docs.couchdb.org/en/stable/api/document/common.html */

/** The id in a path: of an ordinary document, a design document or a local one. */
function idOf(exchange: Exchange, { id, name = "" }: Parameters): string {
  if (id !== undefined) return id;
  return `${/^\/[^/]+\/_local\//.test(exchange.request.url ?? "") ? "_local" : "_design"}/${name}`;
}

const getDocument: Handler = async (exchange, { databases }, parameters) => {
  const { db = "" } = parameters;
  const id = idOf(exchange, parameters);
  const { pouch } = await databases.get(db);
  checkId(id);
  if (exchange.text("open_revs") !== undefined)
    return getOpenRevisions(exchange, await databases.get(db), id);
  const wantsParts = exchange.flag("attachments") && accepts(exchange, "multipart/related");
  const document = await pouch.get(id, { ...(await readOptions(exchange, pouch, id)), binary: wantsParts });
  if (exchange.flag("deleted_conflicts") || exchange.flag("meta")) {
    const conflicts = await deletedConflicts(pouch, id);
    if (conflicts.length > 0) document["_deleted_conflicts"] = conflicts;
  }
  if (exchange.flag("local_seq")) document["_local_seq"] = await localSeq(pouch, id);
  const etag = `"${document._rev}"`;
  if (exchange.header("if-none-match") === etag) return exchange.sendText(304, "", { etag });
  if (!wantsParts || document._attachments === undefined) {
    const { _id, _rev, ...content } = document;
    return exchange.send(200, { _id, _rev, ...content }, { etag });
  }
  const boundary = newBoundary();
  const type = `multipart/related; boundary="${boundary}"`;
  exchange.sendText(200, relatedParts(document, boundary), { "content-type": type, etag });
};

async function readOptions(
  exchange: Exchange,
  pouch: Database["pouch"],
  id: string,
): Promise<Record<string, unknown>> {
  const asked = exchange.text("rev");
  const rev = asked !== undefined && exchange.flag("latest") ? (await latestOf(pouch, id, asked))[0] : asked;
  if (asked !== undefined && rev === undefined) throw notFound();
  const meta = exchange.flag("meta");
  return {
    ...(rev === undefined ? {} : { rev }),
    revs: exchange.flag("revs"),
    revs_info: meta || exchange.flag("revs_info"),
    conflicts: meta || exchange.flag("conflicts"),
    attachments: exchange.flag("attachments"),
  };
}

const accepts = (exchange: Exchange, type: string) => exchange.header("accept")?.includes(type) ?? false;

/** What replicators ask for: given revisions, or all leaves. */
async function getOpenRevisions(exchange: Exchange, { pouch }: Database, id: string): Promise<void> {
  const wanted =
    exchange.text("open_revs") === "all"
      ? "all"
      : (exchange.parameter("open_revs", z.array(z.string())) ?? "all");
  const wantsParts = accepts(exchange, "multipart/mixed");
  const found = await openRevisions(pouch, id, wanted, {
    revs: exchange.flag("revs"),
    latest: exchange.flag("latest"),
    attachments: exchange.flag("attachments"),
    binary: wantsParts,
  });
  if (!wantsParts) return exchange.send(200, found);
  const boundary = newBoundary();
  const parts = found.map((revision) => mixedPart(revision, boundary));
  const body = Buffer.concat([...parts, Buffer.from(`--${boundary}--`)]);
  exchange.sendText(200, body, { "content-type": `multipart/mixed; boundary="${boundary}"` });
}

function mixedPart(revision: Revision, boundary: string): Buffer {
  const open = (type: string) => Buffer.from(`--${boundary}\r\nContent-Type: ${type}\r\n\r\n`);
  const end = Buffer.from("\r\n");
  if ("missing" in revision) {
    return Buffer.concat([
      open('application/json; error="true"'),
      Buffer.from(JSON.stringify(revision)),
      end,
    ]);
  }
  const document = revision.ok;
  const carries = Object.values(document._attachments ?? {}).some(({ data }) => data !== undefined);
  if (!carries) return Buffer.concat([open("application/json"), Buffer.from(JSON.stringify(document)), end]);
  const inner = newBoundary();
  return Buffer.concat([open(`multipart/related; boundary="${inner}"`), relatedParts(document, inner), end]);
}

const putDocument: Handler = async (exchange, context, parameters) => {
  const { db = "" } = parameters;
  const id = idOf(exchange, parameters);
  const database = await context.databases.get(db);
  const newEdits = exchange.flag("new_edits", true);
  const document = await readDocument(exchange, id, newEdits);
  applyRevision(exchange, document);
  if (!newEdits) {
    await writeRevision(database, document);
    return exchange.send(201, { ok: true, id, rev: document._rev });
  }
  sendWritten(exchange, await write(context, database, exchange.user, document));
};

/** A revision as another server made it. */
async function writeRevision({ pouch }: Database, document: Document): Promise<void> {
  const [result] = await pouch.bulkDocs({ docs: [document] }, { new_edits: false });
  if (result && "error" in result) throw result;
}

/** The document of a request's body: JSON, or JSON with its attachments as parts. */
async function readDocument(exchange: Exchange, id: string, newEdits: boolean): Promise<Document> {
  const type = exchange.header("content-type") ?? "";
  const body = await exchange.body();
  const value = /^multipart\/related\b/i.test(type)
    ? await readRelated(body, type, exchange.limits.attachment)
    : parseJson(body.toString("utf8"));
  const document = checkDocument(value, id, exchange.limits, newEdits);
  if (body.length > exchange.limits.document) checkSize(document, exchange.limits);
  return document;
}

/** The revision that is changed may stand in the query or in `If-Match` as well. */
function applyRevision(exchange: Exchange, document: Document): void {
  const named = exchange.text("rev") ?? exchange.header("if-match")?.replace(/^"|"$/g, "");
  if (named === undefined || named === "") return;
  if (document._rev !== undefined && document._rev !== named) {
    throw badRequest("Document rev from request body and query string have different values");
  }
  document._rev = named;
}

function sendWritten(exchange: Exchange, { id, rev }: { id: string; rev: string }): void {
  const location = `/${exchange.request.url?.split(/[/?]/)[1] ?? ""}/${encodeURIComponent(id)}`;
  exchange.send(201, { ok: true, id, rev }, { etag: `"${rev}"`, location });
}

const deleteDocument: Handler = async (exchange, context, parameters) => {
  const { db = "" } = parameters;
  const id = idOf(exchange, parameters);
  const database = await context.databases.get(db);
  checkId(id);
  const document: Document = { _id: id, _deleted: true };
  applyRevision(exchange, document);
  if (id.startsWith("_local/")) return deleteLocal(exchange, database, id, document._rev);
  // Without a revision: a conflict when there is such a document, else not found.
  if (document._rev === undefined) await database.pouch.get(id);
  const { rev } = await write(context, database, exchange.user, document);
  exchange.send(200, { ok: true, id, rev }, { etag: `"${rev}"` });
};

async function deleteLocal(exchange: Exchange, { pouch }: Database, id: string, rev?: string): Promise<void> {
  const current = (await pouch.get(id))._rev ?? "";
  await pouch.remove(id, rev ?? current);
  exchange.send(200, { ok: true, id, rev: "0-0" });
}

/** `Destination: ID`, or `ID?rev=REV` over one that is there. */
const copyDocument: Handler = async (exchange, context, parameters) => {
  const { db = "" } = parameters;
  const id = idOf(exchange, parameters);
  const database = await context.databases.get(db);
  const [target = "", query = ""] = (exchange.header("destination") ?? "").split("?");
  if (target === "") throw badRequest("Destination header is mandatory for COPY.");
  const rev = exchange.text("rev");
  const source = await database.pouch.get(id, rev === undefined ? {} : { rev });
  const to = decodeURIComponent(target);
  const { _rev, ...content } = source;
  const replaced = new URLSearchParams(query).get("rev");
  const copy = checkDocument(
    { ...content, ...(replaced === null ? {} : { _rev: replaced }) },
    to,
    exchange.limits,
    true,
  );
  sendWritten(exchange, await write(context, database, exchange.user, copy));
};

const postDocument: Handler = async (exchange, context, { db = "" }) => {
  const database = await context.databases.get(db);
  const value = await exchange.json(z.looseObject({ _id: z.string().optional() }));
  const document = checkDocument(value, value._id ?? newId(), exchange.limits, true);
  sendWritten(exchange, await write(context, database, exchange.user, document));
};

/** The three kinds of documents have the same operations. */
const kinds = ["/:db/:id", "/:db/_design/:name", "/:db/_local/:name"];

export const documentRoutes: Route[] = [
  { method: "POST", path: "/:db", access: "member", handle: postDocument },
  ...kinds.flatMap((path): Route[] => [
    { method: "GET", path, access: "member", handle: getDocument },
    { method: "HEAD", path, access: "member", handle: getDocument },
    { method: "PUT", path, access: "member", handle: putDocument },
    { method: "DELETE", path, access: "member", handle: deleteDocument },
    { method: "COPY", path, access: "member", handle: copyDocument },
  ]),
];
