import { randomUUID } from "node:crypto";
import type { Attachment, Document, WriteResult } from "pouchdb-core";
import { isDatabaseAdmin } from "./access.ts";
import type { Context } from "./context.ts";
import type { Database } from "./database.ts";
import { CouchError, toCouchError } from "./errors.ts";
import type { User } from "./exchange.ts";
import { usersDatabase, withDerivedKey } from "./users.ts";

/** A document's new revision. Throws 409 when it was changed meanwhile. */
export async function write(
  context: Context,
  database: Database,
  user: User,
  document: Document,
): Promise<{ ok: true; id: string; rev: string }> {
  const result = await database.write(await prepare(database, user, document));
  settle(context, database);
  if ("ok" in result) return result;
  throw toCouchError(result);
}

/** Several documents in one step. What is written as a replicator does it (`newEdits` false) answers errors only. */
export async function writeAll(
  context: Context,
  database: Database,
  user: User,
  documents: readonly Document[],
  newEdits: boolean,
): Promise<object[]> {
  const refused = new Map<number, object>();
  const accepted: { index: number; document: Document }[] = [];
  for (const [index, document] of documents.entries()) {
    try {
      accepted.push({ index, document: await prepare(database, user, document) });
    } catch (error) {
      refused.set(index, asResult(document._id, error));
    }
  }
  const docs = accepted.map(({ document }) => document);
  const results = docs.length === 0 ? [] : await database.pouch.bulkDocs({ docs }, { new_edits: newEdits });
  settle(context, database);
  if (!newEdits) return [...refused.values(), ...results.filter((result) => "error" in result).map(toResult)];
  for (const [place, { index }] of accepted.entries()) {
    const result = results[place];
    if (result) refused.set(index, toResult(result));
  }
  return documents.map((_, index) => refused.get(index) ?? {});
}

const toResult = (result: WriteResult) =>
  "ok" in result ? { ok: true, id: result.id, rev: result.rev } : asResult(result.id, result);

function asResult(id: string, thrown: unknown): object {
  const { error, message } = toCouchError(thrown);
  return { id, error, reason: message };
}

function settle({ users }: Context, database: Database): void {
  if (database.name === usersDatabase) users.forget();
}

/** An id of CouchDB's kind: 32 characters of hex. */
export const newId = () => randomUUID().replaceAll("-", "");

/** What has to be so before a document may be written. Throws 401, 403 or 412. */
async function prepare(database: Database, user: User, document: Document): Promise<Document> {
  if (document._id.startsWith("_design/") && !isDatabaseAdmin(user, database.security)) {
    throw new CouchError(401, "unauthorized", "You are not a db or server admin.");
  }
  await completeStubs(database, document);
  await validate(database, user, document);
  return withDerivedKey(database, document);
}

/** A stub may say no more than its name: then the attachment is the one of the revision before. */
async function completeStubs(database: Database, document: Document): Promise<void> {
  const stubs = Object.entries(document._attachments ?? {}).filter(([, { stub }]) => stub === true);
  if (stubs.every(([, { digest, length }]) => digest !== undefined && length !== undefined)) return;
  const before = await database.pouch.get(
    document._id,
    document._rev === undefined ? {} : { rev: document._rev },
  );
  const attachments: Record<string, Attachment> = before._attachments ?? {};
  for (const [name, stub] of stubs) {
    const known = Object.hasOwn(attachments, name) ? attachments[name] : undefined;
    if (!known)
      throw new CouchError(412, "missing_stub", `Invalid attachment stub in ${document._id} for ${name}`);
    Object.assign(stub, known);
  }
}

/** The functions `validate_doc_update` of the design documents. */
async function validate(database: Database, user: User, document: Document): Promise<void> {
  if (/^_(design|local)\//.test(document._id)) return;
  const validators = await database.validators();
  if (validators.length === 0) return;
  const before = await database.pouch.get(document._id).catch(() => null); // It is new.
  const who = { db: database.name, name: user.name, roles: user.roles };
  for (const source of validators) {
    const refusal = database.scripts.refusal(source, [document, before, who, database.security]);
    if (refusal?.error === "unauthorized") throw new CouchError(401, "unauthorized", refusal.reason);
    if (refusal) throw new CouchError(403, "forbidden", refusal.reason);
  }
}
