import type { Replication } from "pouchdb-core";
import { z } from "zod";
import { CouchError, toCouchError } from "./errors.ts";
import { PouchDB as Pouch } from "./pouch.ts";
import { batchSize, type ReplicationSide } from "./replication-side.ts";

/** A remote that is away is asked again at least this often, ms. */
const mostPauseMs = 2000;

export type Sides = { source: ReplicationSide; target: ReplicationSide };

export const Progress = z.looseObject({
  docs_read: z.number().default(0),
  docs_written: z.number().default(0),
  doc_write_failures: z.number().default(0),
  last_seq: z.unknown(),
  pending: z.number().optional(),
});
export const Checkpoint = z.looseObject({ checkpoint: z.unknown().optional() });

/** A replication that goes on until it is ended. PouchDB tries again by itself whatever fails. */
export class ReplicationJob {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  /** Resolves with why, when PouchDB gives up. */
  readonly gaveUp: Promise<string>;
  readonly #sides: Sides;
  readonly #replication: Replication;
  readonly #startedAt = new Date();
  #updatedAt = new Date();
  #state: "running" | "idle" | "crashing" = "running";
  #error: string | null = null;
  /** Why the target did not take a document; it goes on with the others, as CouchDB does. */
  #refused: string | null = null;
  #refusals = 0;
  #pending: number | null = null;
  /** The sequence of the source up to which everything is in the target. */
  #throughSeq: unknown = 0;
  #progress: z.infer<typeof Progress> = Progress.parse({ last_seq: 0 });

  constructor(id: string, names: { source: string; target: string }, sides: Sides) {
    this.id = id;
    this.source = names.source;
    this.target = names.target;
    this.#sides = sides;
    this.#replication = Pouch.replicate(sides.source.pouch, sides.target.pouch, {
      live: true,
      retry: true,
      batch_size: batchSize,
      back_off_function: (delay: number) => Math.min(Math.max(100, delay * 2), mostPauseMs),
    });
    this.#observe();
    const { promise, resolve } = Promise.withResolvers<string>();
    this.gaveUp = promise;
    this.#replication.catch((error: unknown) => resolve(unreachable(error).message));
  }

  #observe(): void {
    this.#replication.on("change", (told) => this.#note("running", null, Progress.safeParse(told).data));
    this.#replication.on("active", () => this.#note("running", null));
    // Also of changes that the other side had already, which are no documents written.
    this.#replication.on("checkpoint", (told) => {
      const { checkpoint } = Checkpoint.parse(told);
      if (checkpoint !== undefined) this.#throughSeq = checkpoint;
    });
    this.#replication.on("paused", (error) => this.#note(error ? "crashing" : "idle", error));
    this.#replication.on("denied", (error) => {
      this.#refused = unreachable(error).message;
      this.#refusals += 1;
    });
  }

  #note(state: "running" | "idle" | "crashing", error: unknown, progress?: z.infer<typeof Progress>): void {
    if (progress) {
      this.#progress = progress;
      this.#throughSeq = progress.last_seq;
      this.#pending = progress.pending ?? this.#pending;
    }
    if (state === "idle") this.#pending = 0;
    this.#state = state;
    this.#error = error ? unreachable(error).message : null;
    this.#updatedAt = new Date();
  }

  get #trouble(): string | null {
    if (this.#error !== null || this.#refused === null) return this.#error;
    const who = this.#refusals === 1 ? "1 document was" : `${this.#refusals} documents were`;
    return `${who} refused there: ${this.#refused}`;
  }

  /** What has been noted of it last may still be on its way to the disk; nothing is noted after that. */
  end(): void {
    this.#sides.source.end();
    this.#sides.target.end();
    this.#replication.cancel();
  }

  /** As `_active_tasks` shows it. */
  get task(): object {
    return {
      type: "replication",
      replication_id: this.id,
      source: this.source,
      target: this.target,
      continuous: true,
      docs_read: this.#progress.docs_read,
      docs_written: this.#progress.docs_written,
      doc_write_failures: this.#progress.doc_write_failures,
      changes_pending: this.#pending,
      through_seq: this.#throughSeq,
      started_on: Math.floor(this.#startedAt.getTime() / 1000),
      updated_on: Math.floor(this.#updatedAt.getTime() / 1000),
    };
  }

  /** As `_scheduler/jobs` shows it. */
  get scheduled(): object {
    const type = this.#state === "crashing" ? "crashed" : "started";
    return {
      id: this.id,
      database: null,
      doc_id: null,
      source: this.source,
      target: this.target,
      start_time: this.#startedAt.toISOString(),
      history: [{ type, timestamp: this.#updatedAt.toISOString() }],
      info: {
        state: this.#state,
        error: this.#trouble,
        changes_pending: this.#pending,
        docs_written: this.#progress.docs_written,
        doc_write_failures: this.#progress.doc_write_failures,
        through_seq: this.#throughSeq,
      },
    };
  }
}

/** What went wrong between two servers. A fetch that failed says in its cause why. */
export function unreachable(thrown: unknown): CouchError {
  const cause = z
    .looseObject({
      message: z.string(),
      cause: z.looseObject({ code: z.string().optional(), message: z.string() }),
    })
    .safeParse(thrown).data?.cause;
  if (cause) return new CouchError(502, "unreachable", cause.code ?? cause.message);
  return toCouchError(thrown);
}
