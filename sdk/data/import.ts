import { createHash } from "node:crypto";
import { z } from "zod";
import { MaestroError } from "../../src/errors.ts";
import { type Progress, RemoteDatabase, type Transferred, trailerId } from "./database.ts";

const batchDocs = 100;
const batchBytes = 4 * 1024 * 1024;

const Doc = z.looseObject({ _id: z.string(), _rev: z.string().optional() });
type Doc = z.infer<typeof Doc>;
const Trailer = z.looseObject({ _id: z.literal(trailerId), revisions: z.number(), sha256: z.string() });

export type Imported = Transferred & {
  /** Whether the file said what had to be in it, and it was. Files of other tools do not say. */
  verified: boolean;
};

/**
 * Writes what `exportDatabase` made, or couchbackup, into a database: each revision as it was. What is there already is
 * left as it is. Throws `BAD_INPUT` for what is no such file, or is not whole.
 */
export async function importDatabase(
  url: string,
  lines: AsyncIterable<string>,
  onProgress: Progress = () => {},
  signal?: AbortSignal,
): Promise<Imported> {
  const batch = new Batch(new RemoteDatabase(url), signal);
  const hash = createHash("sha256");
  const done = { documents: 0, revisions: 0, attachments: 0, bytes: 0 };
  const ids = new Set<string>();
  let trailer: z.infer<typeof Trailer> | null = null;
  for await (const line of lines) {
    if (line.trim() === "") continue;
    for (const doc of docsOf(line)) {
      trailer = Trailer.safeParse(doc).data ?? null;
      if (trailer) break;
      ids.add(doc._id);
      done.revisions += 1;
      done.attachments += Object.keys(Attached.parse(doc)._attachments ?? {}).length;
      await batch.add(doc, line.length);
    }
    if (trailer) break;
    hash.update(`${line}\n`);
    done.bytes += Buffer.byteLength(line) + 1;
    onProgress(done);
  }
  await batch.write();
  done.documents = ids.size;
  const sha256 = hash.digest("hex");
  const verified = trailer !== null && trailer.sha256 === sha256 && trailer.revisions === done.revisions;
  if (trailer && !verified) {
    const message = `the file is not what was exported: it has ${done.revisions} revisions of ${trailer.revisions}, and another checksum; what could be read has been written`;
    throw new MaestroError("BAD_INPUT", message, { ...done, expected: trailer });
  }
  return { ...done, sha256, verified };
}

const Attached = z.looseObject({ _attachments: z.record(z.string(), z.unknown()).optional() });

/** One document, or several as couchbackup writes them; its line about itself is none. */
function docsOf(line: string): Doc[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new MaestroError("BAD_INPUT", "a line of the file is not JSON: it is damaged, or no export", {});
  }
  if (z.looseObject({ _id: z.undefined().optional(), name: z.string() }).safeParse(value).success) return [];
  const docs = z.array(Doc).safeParse(Array.isArray(value) ? value : [value]);
  if (docs.success) return docs.data;
  throw new MaestroError("BAD_INPUT", "a line of the file is not a document", {});
}

/** Documents on their way: each batch is written, and then it is asked whether all of it is there. */
class Batch {
  readonly #database: RemoteDatabase;
  readonly #signal: AbortSignal | undefined;
  #docs: Doc[] = [];
  #bytes = 0;

  constructor(database: RemoteDatabase, signal: AbortSignal | undefined) {
    this.#database = database;
    this.#signal = signal;
  }

  async add(doc: Doc, bytes: number): Promise<void> {
    this.#docs.push(doc);
    this.#bytes += bytes;
    if (this.#docs.length >= batchDocs || this.#bytes >= batchBytes) await this.write();
  }

  async write(): Promise<void> {
    const docs = this.#docs;
    this.#docs = [];
    this.#bytes = 0;
    if (docs.length === 0) return;
    const body = { docs, new_edits: false };
    const refused = z.array(z.unknown()).parse(await this.#database.ask("/_bulk_docs", body, this.#signal));
    const wanted: Record<string, string[]> = {};
    for (const { _id, _rev } of docs) if (_rev !== undefined) wanted[_id] = [...(wanted[_id] ?? []), _rev];
    const missing = z
      .record(z.string(), z.unknown())
      .parse(await this.#database.ask("/_revs_diff", wanted, this.#signal));
    const ids = Object.keys(missing);
    if (ids.length === 0) return;
    const message = `the database did not take ${ids.length} documents, the first is ${ids[0]}`;
    throw new MaestroError("INTERNAL", message, { ids: ids.slice(0, 20), refused: refused.slice(0, 5) });
  }
}
