import type { Document } from "pouchdb-core";
import { z } from "zod";
import type { DataLimits as Limits } from "../../protocol/data.ts";
import { badRequest, CouchError } from "./errors.ts";

/** The fields with an underscore that a document may come with; the rest CouchDB refuses too. */
const special = new Set([
  "_id",
  "_rev",
  "_deleted",
  "_attachments",
  "_revisions",
  "_revs_info",
  "_conflicts",
  "_deleted_conflicts",
  "_local_seq",
]);
/** Those that only an answer carries: they mean nothing in what is written. */
const onlyRead = ["_revs_info", "_conflicts", "_deleted_conflicts", "_local_seq"];

const Revision = z.string().regex(/^[1-9]\d{0,8}-[^\s]{1,100}$/, "Invalid rev format");
const Attachments = z.record(
  z.string().min(1),
  z.looseObject({
    content_type: z.string().optional(),
    stub: z.boolean().optional(),
    follows: z.boolean().optional(),
    data: z.union([z.string(), z.instanceof(Buffer)]).optional(),
    digest: z.string().optional(),
  }),
);
const Known = z.looseObject({
  _id: z.string().optional(),
  _rev: z.string().optional(),
  _deleted: z.boolean().optional(),
  _attachments: Attachments.optional(),
  _revisions: z.object({ start: z.int().min(1), ids: z.array(z.string().min(1)).min(1) }).optional(),
});

/** Refuses an id that CouchDB refuses. `_design/…` and `_local/…` are ids like others. */
export function checkId(id: string): void {
  if (id === "") throw new CouchError(400, "illegal_docid", "Document id must not be empty");
  if (Buffer.byteLength(id) > 7168) throw new CouchError(400, "illegal_docid", "Document id is too long");
  if (id.startsWith("_") && !/^_(design|local)\/./.test(id)) {
    throw new CouchError(400, "illegal_docid", "Only reserved document ids may start with underscore.");
  }
}

export const isLocal = (id: string) => id.startsWith("_local/");

/**
 * A document as a client sent it, made fit for PouchDB, which trusts what it is given. `id`: the one of the path.
 * Throws 400 or 413.
 */
export function checkDocument(value: unknown, id: string, limits: Limits, newEdits: boolean): Document {
  const parsed = Known.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path[0];
    if (field === undefined) throw badRequest("Document must be a JSON object");
    throw new CouchError(400, "doc_validation", `${issue?.path.join(".")}: ${issue?.message}`);
  }
  checkId(id);
  const document: Document = Object.assign(Object.create(null), value, { _id: id });
  for (const field of Object.keys(document)) {
    if (!field.startsWith("_") || special.has(field)) continue;
    throw new CouchError(400, "doc_validation", `Bad special document member: ${field}`);
  }
  for (const field of onlyRead) delete document[field];
  const rev = document._rev;
  if (rev !== undefined && !isLocal(id) && !Revision.safeParse(rev).success)
    throw badRequest("Invalid rev format");
  if (!newEdits && rev === undefined && document["_revisions"] === undefined && !isLocal(id)) {
    throw badRequest("a document that is written with new_edits=false needs its _rev");
  }
  checkAttachments(document, limits);
  return { ...document };
}

function checkAttachments(document: Document, limits: Limits): void {
  for (const [name, attachment] of Object.entries(document._attachments ?? {})) {
    const { data, stub } = attachment;
    if (name.startsWith("_")) {
      throw badRequest(`Attachment name '${name}' starts with prohibited character '_'`);
    }
    if (stub !== true && data === undefined)
      throw badRequest(`the attachment ${name} has neither data nor a stub`);
    if (typeof data === "string" && !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(data)) {
      throw badRequest(`the attachment ${name} is not valid base64`);
    }
    attachment.content_type ??= "application/octet-stream";
    if (data !== undefined && Buffer.byteLength(data) * 0.75 > limits.attachment) {
      throw new CouchError(413, "attachment_too_large", `${name} is larger than ${limits.attachment} bytes`);
    }
  }
}

/** CouchDB's max_document_size counts a document's JSON without its attachments. */
export function checkSize(document: Document, limits: Limits): void {
  const { _attachments, ...body } = document;
  if (Buffer.byteLength(JSON.stringify(body)) <= limits.document) return;
  throw new CouchError(413, "document_too_large", String(document._id));
}
