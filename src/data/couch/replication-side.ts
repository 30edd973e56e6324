import { EventEmitter } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type PouchDB from "pouchdb-core";
import type { Document } from "pouchdb-core";
import { toCouchError } from "./errors.ts";

/** How often it is written down how far a replication has come, ms. */
const noteMs = 300;
/** Documents that are replicated together, at most. */
export const batchSize = 200;
/** A batch that is not full begins so long after the one before, ms: what is written meanwhile goes with the next. */
const batchMs = 40;
/** How old information about a database may be, ms. PouchDB asks for it with every batch, to tell how much is left. */
const infoMs = 1000;

export type ReplicationSide = {
  pouch: PouchDB;
  /** Nothing is noted any more. */
  end(): void;
};

/**
 * A database as one side of a replication. PouchDB notes in it how far the replication has come: after every batch, which
 * is every change of a live one, and waits until that is on the disk, several times the work of the change itself. Here
 * the latest note is written now and then, and nobody waits. One that is lost costs a repetition.
 */
export function replicationSide(pouch: PouchDB): ReplicationSide {
  const notes = new Notes(pouch);
  const isNote = (id: string) => id.startsWith("_local/");
  let known: Awaited<ReturnType<PouchDB["info"]>> | null = null;
  let knownAt = Number.NEGATIVE_INFINITY;
  const turn = turns(batchMs);
  const side = {
    get: (id: string, options?: Readonly<Record<string, unknown>>) =>
      isNote(id) ? notes.get(id) : pouch.get(id, options),
    put: async (document: Document, options?: Readonly<Record<string, unknown>>) =>
      isNote(document._id) ? notes.put(document) : pouch.put(document, options),
    bulkDocs: (batch: Batch, options?: Readonly<Record<string, unknown>>) => write(pouch, batch, options),
    /** With which a batch begins. */
    revsDiff: async (revisions: Record<string, string[]>) => {
      if (Object.keys(revisions).length < batchSize) await turn();
      return pouch.revsDiff(revisions);
    },
    /** PouchDB does not look whether it failed: that would end this process. */
    info: async () => {
      if (known !== null && performance.now() - knownAt < infoMs) return known;
      try {
        known = await pouch.info();
        knownAt = performance.now();
      } catch (error) {
        if (known === null) throw error;
      }
      return known;
    },
  };
  const wrapped: PouchDB = Object.assign(Object.create(pouch), side);
  Reflect.apply(EventEmitter, wrapped, []); // Its listeners are its own, and go with it.
  return { pouch: wrapped, end: () => notes.end() };
}

/** Lets one call through at a time, `ms` apart; who comes later than that waits for nothing. */
function turns(ms: number): () => Promise<void> {
  let next = 0;
  return async () => {
    const now = performance.now();
    const wait = next - now;
    next = Math.max(now, next) + ms;
    if (wait > 0) await pause(wait);
  };
}

type Batch = { docs: Document[] } & Readonly<Record<string, unknown>>;

/**
 * A batch that is too large for the server goes in parts. A document that is too large by itself is refused, and not the
 * ones beside it: in the form in which PouchDB takes a refusal of one document.
 */
async function write(
  pouch: PouchDB,
  batch: Batch,
  options?: Readonly<Record<string, unknown>>,
): Promise<object[]> {
  try {
    return await pouch.bulkDocs(batch, options);
  } catch (error) {
    const { status, message } = toCouchError(error);
    if (status !== 413) throw error;
    const [first] = batch.docs;
    if (batch.docs.length < 2)
      return first ? [{ id: first._id, error: true, status, name: "forbidden", message }] : [];
    const half = Math.ceil(batch.docs.length / 2);
    const parts = [batch.docs.slice(0, half), batch.docs.slice(half)];
    const written: object[] = [];
    for (const docs of parts) written.push(...(await write(pouch, { ...batch, docs }, options)));
    return written;
  }
}

class Notes {
  readonly #pouch: PouchDB;
  #latest: Document | null = null;
  #written: Document | null = null;
  /** There is a note in the database. */
  #isThere = false;
  #isWriting = false;
  #hasEnded = false;
  #wasReplaced = false;

  constructor(pouch: PouchDB) {
    this.#pouch = pouch;
  }

  async get(id: string): Promise<Document> {
    if (this.#latest !== null) return structuredClone(this.#latest);
    const note = await this.#pouch.get(id);
    this.#isThere = true;
    return note;
  }

  /**
   * Rejects once when the note has gone that was there before: so has the database, and what is under its name now has not
   * what was replicated. The replication looks then from where it has to begin.
   */
  async put(note: Document): Promise<{ ok: true; id: string; rev: string }> {
    if (this.#wasReplaced) {
      this.#wasReplaced = false;
      throw new Error("the database was replaced by another");
    }
    this.#latest = structuredClone(note);
    if (!this.#isWriting) void this.#write();
    return { ok: true, id: note._id, rev: "0-1" };
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#latest !== null && this.#latest !== this.#written && !this.#hasEnded) {
        await this.#writeOne(this.#latest);
        await pause(noteMs);
      }
    } catch {
      // The server is away, which the replication itself finds out; the next note is written when it is back.
    } finally {
      this.#isWriting = false;
    }
  }

  async #writeOne(note: Document): Promise<void> {
    const before = await this.#find(note._id);
    if (before === null && this.#isThere) {
      this.#wasReplaced = true;
      this.#isThere = false;
      this.#latest = null;
      return;
    }
    await this.#pouch.put({ ...note, _rev: before?._rev });
    this.#isThere = true;
    this.#written = note;
  }

  async #find(id: string): Promise<Document | null> {
    try {
      return await this.#pouch.get(id);
    } catch (error) {
      if (toCouchError(error).status === 404) return null;
      throw error;
    }
  }

  end(): void {
    this.#hasEnded = true;
  }
}
