import type { Log } from "../lib/log.ts";
import type { DrainLimits, InFlight, RoutesChange, WorkerStatus } from "../protocol/worker.ts";
import type { Worker } from "./worker.ts";

/** What is under way at a worker that is not needed any more has this long: nothing is cut that ends by itself. */
const patience: DrainLimits = { requestsMs: 3_600_000, streamsMs: 3_600_000 };

/** The workers that there are: members, which accept connections, and those that only finish what they have. */
export class WorkerSet {
  readonly #members = new Set<Worker>();
  readonly #leaving = new Set<Worker>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  get members(): readonly Worker[] {
    return [...this.#members];
  }

  /** Both kinds answer on the connections that they have, by the same routes. Members come first. */
  get all(): readonly Worker[] {
    return [...this.#members, ...this.#leaving];
  }

  /** `onDeath` is called when it is gone without having been let go. */
  join(worker: Worker, onDeath: () => void): void {
    this.#members.add(worker);
    void worker.closed.then(() => {
      if (this.#members.delete(worker)) onDeath();
    });
  }

  /** Resolves when it accepts no more; it ends in its own time. One that has died meanwhile has nothing left to end. */
  async letGo(worker: Worker): Promise<void> {
    this.#members.delete(worker);
    this.keepLeaving(worker);
    await worker.ask("leave", patience).catch((error: Error) => {
      this.#log.warn({ pid: worker.pid, error: error.message }, "worker.leaving.unconfirmed");
    });
  }

  keepLeaving(worker: Worker): void {
    this.#log.info({ pid: worker.pid }, "worker.leaving");
    this.#leaving.add(worker);
    void worker.closed.then(() => this.#leaving.delete(worker));
  }

  /** Resolves when the change is in force in every worker. One that dies instead of confirming routes nothing any more. */
  async route(change: RoutesChange): Promise<void> {
    await Promise.all(
      this.all.map((worker) =>
        worker.ask("routes", change).catch((error: Error) => {
          this.#log.warn({ pid: worker.pid, error: error.message }, "worker.routes.unconfirmed");
        }),
      ),
    );
  }

  /** What is left at an instance when nothing is under way there any more, or the limits have passed. */
  async drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    const answers = await Promise.allSettled(this.all.map((worker) => worker.drain(instance, limits)));
    const left = { requests: 0, streams: 0 };
    for (const answer of answers) {
      // A worker that died meanwhile took what was under way with it: nothing is left there.
      if (answer.status === "rejected") continue;
      left.requests += answer.value.requests;
      left.streams += answer.value.streams;
    }
    return left;
  }

  /** Of those that answer; members come first. */
  async status(): Promise<WorkerStatus[]> {
    const answers = await Promise.allSettled(this.all.map((worker) => worker.ask("status", {})));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }
}
