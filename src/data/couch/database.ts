import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import createMapReduce from "pouchdb-abstract-mapreduce";
import type PouchDB from "pouchdb-core";
import type { Document, WriteResult } from "pouchdb-core";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeAtomic } from "../../lib/atomic-file.ts";
import { namesIn } from "../../lib/directory.ts";
import { builtInReduce } from "./built-in-reduce.ts";
import { isDiskError } from "./errors.ts";
import { openPouch } from "./pouch.ts";
import { Scripts } from "./scripts.ts";

const Names = z.object({ names: z.array(z.string()).default([]), roles: z.array(z.string()).default([]) });
export const Security = z.looseObject({
  admins: Names.prefault({ roles: ["_admin"] }),
  members: Names.prefault({ roles: ["_admin"] }),
});
export type Security = z.infer<typeof Security>;

type Waiting = { document: Document; resolve(result: WriteResult): void; reject(error: unknown): void };
/** How many single writes are put together into one. */
const groupLimit = 200;
/** After so many documents have been replaced their old revisions are removed. */
const compactAfter = 5000;

/** A database that is open: PouchDB in a directory of its own, and what CouchDB keeps beside the documents. */
export class Database {
  readonly name: string;
  readonly pouch: PouchDB;
  readonly scripts = new Scripts();
  readonly #directory: string;
  readonly #mapReduce: ReturnType<typeof createMapReduce>;
  security: Security;
  #change = Promise.withResolvers<boolean>();
  #validators: Promise<string[]> | null = null;
  #waiting: Waiting[] = [];
  #writing = false;
  #replacedSinceCompaction = 0;
  /** LevelDB could not write, and takes no more writes until it is opened again. */
  isStuck = false;

  private constructor(name: string, directory: string, security: Security) {
    this.name = name;
    this.#directory = directory;
    this.security = security;
    this.pouch = openPouch(join(directory, "main"));
    this.#mapReduce = createMapReduce(
      "mrviews",
      (source, emit) => this.scripts.map(source, emit),
      (source) => builtInReduce(source) ?? this.scripts.reduce(source),
      () => {},
    );
  }

  static async open(name: string, directory: string): Promise<Database> {
    const database = new Database(name, directory, await readSecurity(directory));
    await database.pouch.info(); // Rejects when LevelDB cannot open it.
    database.#announceWrites();
    return database;
  }

  /** Every write passes here: a client's, and what replication brings. */
  #announceWrites(): void {
    const { pouch } = this;
    const write = pouch._bulkDocs.bind(pouch);
    pouch._bulkDocs = (request, options, callback) => {
      const replaced = countReplacing(request.docs, options["new_edits"] === false);
      write(request, options, (error, results) => {
        if (request.docs.some(({ _id }) => _id?.startsWith("_design/"))) this.#validators = null;
        if (isDiskError(error)) this.isStuck = true;
        callback(error, results);
        this.#change.resolve(true);
        this.#change = Promise.withResolvers();
        this.#replacedSinceCompaction += replaced;
        if (this.#replacedSinceCompaction >= compactAfter) this.#compact();
      });
    };
  }

  /** Revisions that were replaced are removed now and then, as CouchDB does it: the file would only grow. */
  #compact(): void {
    this.#replacedSinceCompaction = 0;
    this.pouch.compact().catch(() => {}); // The database was closed meanwhile: the next one begins where this one was.
  }

  /** The sources of the functions `validate_doc_update` of all design documents. */
  validators(): Promise<string[]> {
    this.#validators ??= this.#readValidators();
    return this.#validators;
  }

  async #readValidators(): Promise<string[]> {
    const range = { startkey: "_design/", endkey: "_design0", include_docs: true };
    const { rows } = await this.pouch.allDocs(range);
    return rows.flatMap(({ doc }) => {
      const source = doc?.["validate_doc_update"];
      return typeof source === "string" ? [source] : [];
    });
  }

  /**
   * Writes one document. Those that come while another is being synced to the disk are written together with the next
   * sync, as CouchDB does it: each has its own answer.
   */
  write(document: Document): Promise<WriteResult> {
    const { promise, resolve, reject } = Promise.withResolvers<WriteResult>();
    this.#waiting.push({ document, resolve, reject });
    if (!this.#writing) void this.#writeGroups();
    return promise;
  }

  async #writeGroups(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, groupLimit);
      try {
        const results = await this.pouch.bulkDocs({ docs: group.map(({ document }) => document) });
        group.forEach(({ resolve, reject }, index) => {
          const result = results[index];
          if (result) resolve(result);
          else reject(new Error("PouchDB gave no result for a document"));
        });
      } catch (error) {
        await this.#writeSingly(group, error);
      }
    }
    this.#writing = false;
  }

  /** PouchDB refuses all for the sake of one: then each is written by itself, to see which. */
  async #writeSingly(group: readonly Waiting[], error: unknown): Promise<void> {
    for (const { document, resolve, reject } of group) {
      if (group.length === 1) reject(error);
      else {
        await this.pouch.bulkDocs({ docs: [document] }).then(([result]) => result && resolve(result), reject);
      }
    }
  }

  /** Resolves at the next write; with false when the database is closed instead. */
  nextChange(): Promise<boolean> {
    return this.#change.promise;
  }

  query(view: string, options: Readonly<Record<string, unknown>>) {
    return this.#mapReduce.query.call(this.pouch, view, options);
  }

  /** Removes the indexes of views that are gone. */
  cleanUpViews() {
    return this.#mapReduce.viewCleanup.call(this.pouch);
  }

  /** What the documents take on the disk, views not counted. */
  async fileBytes(): Promise<number> {
    const directory = join(this.#directory, "main");
    // LevelDB may remove a file between the two looks.
    const sizes = (await namesIn(directory)).map((name) =>
      stat(join(directory, name)).then(
        (file) => file.size,
        () => 0,
      ),
    );
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }

  async setSecurity(security: Security): Promise<void> {
    await writeAtomic(securityFile(this.#directory), JSON.stringify(security));
    this.security = security;
  }

  endFeeds(): void {
    this.#change.resolve(false);
  }

  /** Feeds of changes end, then what has been begun is done, then it is closed. */
  async close(): Promise<void> {
    this.endFeeds();
    await this.pouch.close();
    this.scripts.dispose();
  }
}

/** How many of them are not the first revision of a document. What is replicated comes with the name of its revision. */
function countReplacing(documents: readonly Document[], isReplicated: boolean): number {
  return documents.filter(({ _rev }) => _rev !== undefined && !(isReplicated && _rev.startsWith("1-")))
    .length;
}

const securityFile = (directory: string) => join(directory, "security.json");

async function readSecurity(directory: string): Promise<Security> {
  try {
    return Security.parse(JSON.parse(await readFile(securityFile(directory), "utf8")));
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return Security.parse({});
    throw error;
  }
}
