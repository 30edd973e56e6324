import { createHash } from "node:crypto";
import { z } from "zod";
import { MaestroError } from "../../src/errors.ts";
import { type Progress, RemoteDatabase, type Transferred, trailerId } from "./database.ts";

const pageSize = 200;
/** Revisions that are read at once; their attachments come with them. */
const readSize = 20;

const Changes = z.object({
  last_seq: z.union([z.string(), z.number()]),
  pending: z.number().optional(),
  results: z.array(z.object({ id: z.string(), changes: z.array(z.object({ rev: z.string() })) })),
});
const Read = z.object({
  results: z.array(
    z.object({
      id: z.string(),
      docs: z.array(
        z.union([z.object({ ok: z.looseObject({ _id: z.string() }) }), z.object({ error: z.unknown() })]),
      ),
    }),
  ),
});
type Leaf = { id: string; rev: string };

/**
 * Writes a database as lines of JSON: one line for each last revision of a document, conflicts and deletions included,
 * with its history and its attachments, and at the end one with the counts and the SHA-256 of all lines before it.
 * `write` resolves when more can be taken.
 */
export async function exportDatabase(
  url: string,
  write: (line: string) => Promise<void>,
  onProgress: Progress = () => {},
  signal?: AbortSignal,
): Promise<Transferred> {
  const database = new RemoteDatabase(url);
  const hash = createHash("sha256");
  const done = { documents: 0, revisions: 0, attachments: 0, bytes: 0 };
  for await (const { leaves, documents, left } of pagesOf(database, signal)) {
    done.documents += documents;
    for (let at = 0; at < leaves.length; at += readSize) {
      for (const doc of await read(database, leaves.slice(at, at + readSize), signal)) {
        const line = `${JSON.stringify(doc)}\n`;
        hash.update(line);
        done.revisions += 1;
        done.bytes += Buffer.byteLength(line);
        done.attachments += Object.keys(Attached.parse(doc)._attachments ?? {}).length;
        await write(line);
      }
      onProgress({ ...done, of: done.revisions + left });
    }
  }
  const sha256 = hash.digest("hex");
  await write(`${JSON.stringify({ _id: trailerId, ...done, sha256 })}\n`);
  return { ...done, sha256 };
}

const Attached = z.looseObject({ _attachments: z.record(z.string(), z.unknown()).optional() });

/** All that is there when it begins; what is changed meanwhile may come in its later form. */
async function* pagesOf(
  database: RemoteDatabase,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ leaves: Leaf[]; documents: number; left: number }> {
  let since: string | number = 0;
  for (;;) {
    const path = `/_changes?style=all_docs&limit=${pageSize}&since=${encodeURIComponent(since)}`;
    const { results, last_seq, pending = 0 } = Changes.parse(await database.ask(path, undefined, signal));
    const leaves = results.flatMap(({ id, changes }) => changes.map(({ rev }) => ({ id, rev })));
    yield { leaves, documents: results.length, left: pending };
    if (results.length < pageSize) return;
    since = last_seq;
  }
}

/** Throws when a revision is not there: it would be missing in the export. */
async function read(database: RemoteDatabase, leaves: readonly Leaf[], signal: AbortSignal | undefined) {
  const path = "/_bulk_get?revs=true&attachments=true";
  const { results } = Read.parse(await database.ask(path, { docs: leaves }, signal));
  const docs = results.flatMap((result) => result.docs).flatMap((found) => ("ok" in found ? [found.ok] : []));
  if (docs.length === leaves.length) return docs;
  // It was changed, and compacted, between the two looks: its last revision is read instead.
  const ids = [...new Set(leaves.map(({ id }) => id))];
  const again = Read.parse(await database.ask(path, { docs: ids.map((id) => ({ id })) }, signal));
  const latest = again.results
    .flatMap((result) => result.docs)
    .flatMap((found) => ("ok" in found ? [found.ok] : []));
  if (new Set(latest.map(({ _id }) => _id)).size === ids.length) return latest;
  throw new MaestroError("INTERNAL", "the database did not give a document that it has; try again", { ids });
}
