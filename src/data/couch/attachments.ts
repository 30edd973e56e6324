import type PouchDB from "pouchdb-core";
import { z } from "zod";
import type { Handler, Parameters, Route } from "./context.ts";
import { checkDocument, checkId } from "./document.ts";
import { CouchError, notFound, toCouchError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { write } from "./writes.ts";

/* Attachments by themselves: https://docs.couchdb.org/en/stable/api/document/attachments.html */

/** The document's id and the attachment's name: a name may hold slashes. */
function place({ id = "", name, "*": rest = "" }: Parameters): { id: string; file: string } {
  const document = name === undefined ? id : `_design/${name}`;
  checkId(document);
  return { id: document, file: rest };
}

const getAttachment: Handler = async (exchange, { databases }, parameters) => {
  const { pouch } = await databases.get(parameters["db"] ?? "");
  const { id, file } = place(parameters);
  const document = await pouch.get(id, revisionOf(exchange));
  const attachment = Object.entries(document._attachments ?? {}).find(([name]) => name === file)?.[1];
  if (!attachment) throw notFound("Document is missing attachment");
  const digest = (attachment.digest ?? "").replace(/^md5-/, "");
  const headers = {
    etag: `"${digest}"`,
    "content-type": attachment.content_type,
    "content-md5": digest,
    "accept-ranges": "none",
    // An app's own pages could be read by a page that is an attachment.
    "content-security-policy": "sandbox",
  };
  if (exchange.header("if-none-match") === headers.etag)
    return exchange.sendText(304, "", { etag: headers.etag });
  const data = await pouch.getAttachment(id, file, { rev: document._rev });
  exchange.sendText(200, data, headers);
};

function revisionOf(exchange: Exchange): { rev?: string } {
  const rev = exchange.text("rev") ?? exchange.header("if-match")?.replace(/^"|"$/g, "");
  return rev === undefined ? {} : { rev };
}

const putAttachment: Handler = async (exchange, context, parameters) => {
  const database = await context.databases.get(parameters["db"] ?? "");
  const { id, file } = place(parameters);
  const data = await exchange.body(exchange.limits.attachment);
  const { rev } = revisionOf(exchange);
  const before = await current(database.pouch, id, rev);
  const content_type = exchange.header("content-type") ?? "application/octet-stream";
  const _attachments = { ...before._attachments, [file]: { content_type, data } };
  const document = checkDocument({ ...before, _attachments }, id, exchange.limits, true);
  const written = await write(context, database, exchange.user, document);
  exchange.send(201, written, { etag: `"${written.rev}"` });
};

const Kept = z.looseObject({ _attachments: z.record(z.string(), z.looseObject({})).optional() });

/** The revision that is changed; an attachment can make its document. */
async function current(pouch: PouchDB, id: string, rev: string | undefined) {
  try {
    return Kept.parse(await pouch.get(id, rev === undefined ? {} : { rev }));
  } catch (error) {
    if (toCouchError(error).status !== 404) throw error;
    if (rev !== undefined) throw new CouchError(409, "conflict", "Document update conflict.");
    return Kept.parse({});
  }
}

const deleteAttachment: Handler = async (exchange, context, parameters) => {
  const database = await context.databases.get(parameters["db"] ?? "");
  const { id, file } = place(parameters);
  const { rev } = revisionOf(exchange);
  if (rev === undefined) throw new CouchError(409, "conflict", "Document update conflict.");
  const before = await current(database.pouch, id, rev);
  if (!Object.hasOwn(before._attachments ?? {}, file)) throw notFound("Document is missing attachment");
  const left = Object.fromEntries(
    Object.entries(before._attachments ?? {}).filter(([name]) => name !== file),
  );
  const document = checkDocument({ ...before, _attachments: left }, id, exchange.limits, true);
  const written = await write(context, database, exchange.user, document);
  exchange.send(200, written, { etag: `"${written.rev}"` });
};

export const attachmentRoutes: Route[] = ["/:db/:id/*", "/:db/_design/:name/*"].flatMap((path): Route[] => [
  { method: "GET", path, access: "member", handle: getAttachment },
  { method: "HEAD", path, access: "member", handle: getAttachment },
  { method: "PUT", path, access: "member", handle: putAttachment },
  { method: "DELETE", path, access: "member", handle: deleteAttachment },
]);
