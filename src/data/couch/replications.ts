import { createHash } from "node:crypto";
import type PouchDB from "pouchdb-core";
import type { Replication } from "pouchdb-core";
import { z } from "zod";
import type { Log } from "../../lib/log.ts";
import type { Databases } from "./databases.ts";
import { CouchError, toCouchError } from "./errors.ts";
import { PouchDB as Pouch, remotePouch } from "./pouch.ts";
import { Place, remoteOf, shown } from "./replication-place.ts";

/** https://docs.couchdb.org/en/stable/api/server/common.html#replicate */
export const ReplicationRequest = z.object({
  source: Place,
  target: Place,
  continuous: z.boolean().default(false),
  cancel: z.boolean().default(false),
  create_target: z.literal(false).optional(),
});
type ReplicationRequest = z.infer<typeof ReplicationRequest>;

type Job = {
  id: string;
  source: string;
  target: string;
  startedAt: string;
  replication: Replication;
  /** The sequence of the source up to which everything is in the target. */
  throughSeq: unknown;
  docsWritten: number;
  docsRead: number;
  failures: number;
  pending: number | null;
  state: "running" | "idle" | "crashing";
  error: string | null;
  updatedAt: string;
};

const Progress = z.looseObject({
  docs_read: z.number().default(0),
  docs_written: z.number().default(0),
  doc_write_failures: z.number().default(0),
  last_seq: z.unknown(),
  pending: z.number().optional(),
});

/**
 * The replications of this server: continuous ones, and single ones that somebody waits for. They are not kept over its
 * end: who wants them asks for them again.
 */
export class Replications {
  readonly #databases: Databases;
  readonly #log: Log;
  readonly #jobs = new Map<string, Job>();

  constructor(databases: Databases, log: Log) {
    this.#databases = databases;
    this.#log = log;
  }

  /** Starts, or ends, a replication; a single one is waited for. */
  async request(request: ReplicationRequest, signal: AbortSignal): Promise<object> {
    const id = idOf(request);
    if (request.cancel) {
      this.#cancel(id);
      return { ok: true, _local_id: id };
    }
    if (!request.continuous) return this.#once(request, signal);
    if (!this.#jobs.has(id)) this.#jobs.set(id, await this.#start(id, request));
    return { ok: true, _local_id: id };
  }

  #cancel(id: string): void {
    const job = this.#jobs.get(id);
    if (!job) throw new CouchError(404, "not_found", "no such replication");
    this.#jobs.delete(id);
    job.replication.cancel();
  }

  async #once(request: ReplicationRequest, signal: AbortSignal): Promise<object> {
    const source = await this.#open(request.source);
    const target = await this.#open(request.target);
    const replication = Pouch.replicate(source, target, { batch_size: batchSize });
    const give = () => replication.cancel();
    signal.addEventListener("abort", give, { once: true });
    try {
      const result = Progress.parse(await replication);
      return { ok: true, source_last_seq: result.last_seq, history: [result] };
    } catch (error) {
      throw unreachable(error);
    } finally {
      signal.removeEventListener("abort", give);
    }
  }

  async #start(id: string, request: ReplicationRequest): Promise<Job> {
    const source = await this.#open(request.source);
    const target = await this.#open(request.target);
    const replication = Pouch.replicate(source, target, {
      live: true,
      retry: true,
      batch_size: batchSize,
      back_off_function: (delay: number) => Math.min(Math.max(100, delay * 2), mostPauseMs),
    });
    const job: Job = {
      id,
      source: shown(request.source),
      target: shown(request.target),
      startedAt: new Date().toISOString(),
      replication,
      throughSeq: 0,
      docsWritten: 0,
      docsRead: 0,
      failures: 0,
      pending: null,
      state: "running",
      error: null,
      updatedAt: new Date().toISOString(),
    };
    this.#observe(job);
    return job;
  }

  #observe(job: Job): void {
    const note = (state: Job["state"], error: unknown, progress?: unknown) => {
      const report = Progress.safeParse(progress).data;
      if (report) {
        job.docsRead = report.docs_read;
        job.docsWritten = report.docs_written;
        job.failures = report.doc_write_failures;
        job.throughSeq = report.last_seq;
        job.pending = report.pending ?? job.pending;
      }
      if (state === "idle") job.pending = 0;
      job.state = state;
      job.error = error ? unreachable(error).message : null;
      job.updatedAt = new Date().toISOString();
    };
    job.replication.on("change", (progress) => note("running", null, progress));
    job.replication.on("active", () => note("running", null));
    // Also of changes that the other side had already, which are no documents written.
    job.replication.on("checkpoint", (told) => {
      const { checkpoint } = z.looseObject({ checkpoint: z.unknown().optional() }).parse(told);
      if (checkpoint !== undefined) job.throughSeq = checkpoint;
    });
    job.replication.on("paused", (error) => note(error ? "crashing" : "idle", error));
    job.replication.on("denied", (error) => note("running", error));
    job.replication.catch((error: unknown) => {
      note("crashing", error);
      this.#log.warn({ source: job.source, target: job.target, error: job.error }, "data.replication-ended");
      this.#jobs.delete(job.id);
    });
  }

  async #open(place: Place): Promise<PouchDB> {
    const remote = remoteOf(place);
    if (remote) return remotePouch(remote.href, remote.authorization);
    return (await this.#databases.get(typeof place === "string" ? place : place.url)).pouch;
  }

  /** As `_active_tasks` shows them. */
  tasks(): object[] {
    return [...this.#jobs.values()].map((job) => ({
      type: "replication",
      replication_id: job.id,
      source: job.source,
      target: job.target,
      continuous: true,
      docs_read: job.docsRead,
      docs_written: job.docsWritten,
      doc_write_failures: job.failures,
      changes_pending: job.pending,
      through_seq: job.throughSeq,
      started_on: Math.floor(Date.parse(job.startedAt) / 1000),
      updated_on: Math.floor(Date.parse(job.updatedAt) / 1000),
    }));
  }

  /** As `_scheduler/jobs` shows them. */
  jobs(): object[] {
    return [...this.#jobs.values()].map(({ id, source, target, startedAt, state, error, ...job }) => ({
      id,
      database: null,
      doc_id: null,
      source,
      target,
      start_time: startedAt,
      history: [{ type: state === "crashing" ? "crashed" : "started", timestamp: job.updatedAt }],
      info: {
        state,
        error,
        changes_pending: job.pending,
        docs_written: job.docsWritten,
        doc_write_failures: job.failures,
        through_seq: job.throughSeq,
      },
    }));
  }

  close(): void {
    for (const { replication } of this.#jobs.values()) replication.cancel();
    this.#jobs.clear();
  }
}

const batchSize = 200;
/** A remote that is away is asked again at least this often, ms. */
const mostPauseMs = 2000;

/** What went wrong between two servers. A fetch that failed says in its cause why. */
function unreachable(thrown: unknown): CouchError {
  const cause = z
    .looseObject({
      message: z.string(),
      cause: z.looseObject({ code: z.string().optional(), message: z.string() }),
    })
    .safeParse(thrown).data?.cause;
  if (cause) return new CouchError(502, "unreachable", cause.code ?? cause.message);
  return toCouchError(thrown);
}

function idOf({ source, target }: ReplicationRequest): string {
  return createHash("md5")
    .update(`${shown(source)}\n${shown(target)}`)
    .digest("hex");
}
