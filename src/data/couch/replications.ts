import { createHash } from "node:crypto";
import { z } from "zod";
import type { Log } from "../../lib/log.ts";
import type { Databases } from "./databases.ts";
import { CouchError } from "./errors.ts";
import { PouchDB as Pouch, remotePouch } from "./pouch.ts";
import { Checkpoint, Progress, ReplicationJob, type Sides, unreachable } from "./replication-job.ts";
import { Place, remoteOf, shown } from "./replication-place.ts";
import { batchSize, type ReplicationSide, replicationSide } from "./replication-side.ts";

/** https://docs.couchdb.org/en/stable/api/server/common.html#replicate */
export const ReplicationRequest = z.object({
  source: Place,
  target: Place,
  continuous: z.boolean().default(false),
  cancel: z.boolean().default(false),
  create_target: z.literal(false).optional(),
});
type ReplicationRequest = z.infer<typeof ReplicationRequest>;

/**
 * The replications of this server: continuous ones, and single ones that somebody waits for. They are not kept over its
 * end: who wants them asks for them again.
 */
export class Replications {
  readonly #databases: Databases;
  readonly #log: Log;
  readonly #jobs = new Map<string, ReplicationJob>();

  constructor(databases: Databases, log: Log) {
    this.#databases = databases;
    this.#log = log;
  }

  /** Starts, or ends, a replication; a single one is waited for. */
  async request(request: ReplicationRequest, signal: AbortSignal): Promise<object> {
    const id = idOf(request);
    if (request.cancel) this.#cancel(id);
    else if (!request.continuous) return this.#once(request, signal);
    else this.#start(id, request, await this.#openBoth(request));
    return { ok: true, _local_id: id };
  }

  #start(id: string, request: ReplicationRequest, sides: Sides): void {
    if (this.#jobs.has(id)) return;
    const names = { source: shown(request.source), target: shown(request.target) };
    const job = new ReplicationJob(id, names, sides);
    this.#jobs.set(id, job);
    void job.gaveUp.then((error) => {
      this.#log.warn({ ...names, error }, "data.replication-ended");
      if (this.#jobs.get(id) === job) this.#jobs.delete(id);
    });
  }

  #cancel(id: string): void {
    const job = this.#jobs.get(id);
    if (!job) throw new CouchError(404, "not_found", "no such replication");
    this.#jobs.delete(id);
    job.end();
  }

  /** Brings over what there is now. What is written meanwhile may come too, but nobody waits for an end of writing. */
  async #once(request: ReplicationRequest, signal: AbortSignal): Promise<object> {
    const { source, target } = await this.#openBoth(request);
    try {
      const present = countOf((await source.pouch.info()).update_seq);
      const replication = Pouch.replicate(source.pouch, target.pouch, { batch_size: batchSize });
      const enough = () => replication.cancel();
      signal.addEventListener("abort", enough, { once: true });
      replication.on("checkpoint", (told) => {
        if (countOf(Checkpoint.parse(told).checkpoint) >= present) enough();
      });
      const result = Progress.parse(await replication);
      signal.removeEventListener("abort", enough);
      return { ok: true, source_last_seq: result.last_seq, history: [result] };
    } catch (error) {
      throw unreachable(error);
    }
  }

  async #openBoth({ source, target }: ReplicationRequest): Promise<Sides> {
    return { source: await this.#open(source), target: await this.#open(target) };
  }

  async #open(place: Place): Promise<ReplicationSide> {
    const remote = remoteOf(place);
    if (remote) return replicationSide(remotePouch(remote.href, remote.authorization));
    const database = await this.#databases.get(typeof place === "string" ? place : place.url);
    return replicationSide(database.pouch);
  }

  /** As `_active_tasks` shows them. */
  tasks(): object[] {
    return [...this.#jobs.values()].map(({ task }) => task);
  }

  /** As `_scheduler/jobs` shows them. */
  jobs(): object[] {
    return [...this.#jobs.values()].map(({ scheduled }) => scheduled);
  }

  close(): void {
    for (const job of this.#jobs.values()) job.end();
    this.#jobs.clear();
  }
}

/** How many changes a database has had by a sequence: CouchDB's begin with the number. */
function countOf(sequence: unknown): number {
  const count = Number.parseInt(String(sequence), 10);
  return Number.isNaN(count) ? Number.NEGATIVE_INFINITY : count;
}

function idOf({ source, target }: ReplicationRequest): string {
  return createHash("md5")
    .update(`${shown(source)}\n${shown(target)}`)
    .digest("hex");
}
