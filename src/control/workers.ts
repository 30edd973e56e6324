import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { writeAtomic } from "../lib/atomic-file.ts";
import { backoff } from "../lib/backoff.ts";
import type { Log } from "../lib/log.ts";
import { Serializer } from "../lib/serialize.ts";
import type {
  AppRoute,
  DrainLimits,
  InFlight,
  RoutesChange,
  WorkerSettings,
  WorkerStatus,
} from "../protocol/worker.ts";
import type { Traffic } from "./ports.ts";
import { Worker } from "./worker.ts";
import { forkWorker } from "./worker-process.ts";

export type WorkersOptions = {
  /** <home>/run/workers: sockets, the settings in force, the workers' output. */
  directory: string;
  /** The program of a worker. */
  entry: string;
  settings: Omit<WorkerSettings, "control">;
  count: number;
  log: Log;
};

/** What is under way at a worker that is not needed any more has this long. */
const patience: DrainLimits = { requestsMs: 30_000, streamsMs: 10_000 };
const atOnce: DrainLimits = { requestsMs: 0, streamsMs: 0 };

/**
 * The proxy workers. They own the listening sockets and outlive the controller: those that run are taken over,
 * one that dies is replaced by a sibling of another, which is handed the sockets.
 */
export class Workers implements Traffic {
  readonly #options: WorkersOptions;
  readonly #workers = new Set<Worker>();
  /** Those that accept no more, and still answer on the connections that they have: by the same routes. */
  readonly #leaving = new Set<Worker>();
  readonly #routes = new Map<string, AppRoute>();
  /** Changes of routes and joining workers come one after the other, so that no worker misses a change. */
  readonly #turns = new Serializer<"routes" | "members">();
  #routesKnown = false;
  #ending = false;
  #serial = 0;

  private constructor(options: WorkersOptions) {
    this.#options = options;
  }

  static async start(options: WorkersOptions): Promise<Workers> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const workers = new Workers(options);
    try {
      await workers.#takeOver();
      await workers.#turns.run("members", () => workers.#fill());
      return workers;
    } catch (error) {
      await workers.giveUp();
      throw error;
    }
  }

  async apply(change: RoutesChange): Promise<void> {
    await this.#turns.run("routes", async () => {
      if (change.replace) this.#routes.clear();
      for (const app of change.remove) this.#routes.delete(app);
      for (const route of change.put) this.#routes.set(route.app, route);
      this.#routesKnown = true;
      await Promise.all(this.#all().map((worker) => this.#confirm(worker, change)));
    });
  }

  async drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    const answers = await Promise.allSettled(this.#all().map((worker) => worker.drain(instance, limits)));
    const left = { requests: 0, streams: 0 };
    for (const answer of answers) {
      // A worker that died meanwhile took what was under way with it: nothing is left there.
      if (answer.status === "rejected") continue;
      left.requests += answer.value.requests;
      left.streams += answer.value.streams;
    }
    return left;
  }

  async status(): Promise<WorkerStatus[]> {
    const answers = await Promise.allSettled([...this.#workers].map((worker) => worker.ask("status", {})));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  /** After a start that failed: those that carried traffic before go on, those that it started end. */
  async giveUp(): Promise<void> {
    this.#ending = true;
    await Promise.allSettled(
      [...this.#workers].map((worker) => (worker.isAdopted ? worker.disconnect() : worker.dismiss(atOnce))),
    );
  }

  /** Ends the workers, once what is under way has finished or the limits have passed. May be called again, to hurry. */
  async end(limits: DrainLimits): Promise<void> {
    this.#ending = true;
    await Promise.allSettled([...this.#workers].map((worker) => worker.dismiss(limits)));
    // One that was being started joins last, and is dismissed as it does.
    await this.#turns.run("members", async () => {});
  }

  /** A worker that dies instead of confirming routes nothing any more. */
  async #confirm(worker: Worker, change: RoutesChange): Promise<void> {
    try {
      await worker.ask("routes", change);
    } catch (error) {
      this.#options.log.warn(
        { pid: worker.pid, error: (error as Error).message },
        "worker.routes.unconfirmed",
      );
    }
  }

  /** Connects to the workers of an earlier controller. Those that listen elsewhere than wanted leave. */
  async #takeOver(): Promise<void> {
    const { directory, settings, log } = this.#options;
    const before = await readSettings(join(directory, "settings.json"));
    await writeAtomic(join(directory, "settings.json"), JSON.stringify(settings));
    for (const file of await readdir(directory)) {
      if (!file.endsWith(".sock")) continue;
      const found = await this.#find(join(directory, file));
      if (!found) continue;
      if (isDeepStrictEqual(before, settings)) {
        await this.#adopt(found);
      } else {
        log.info({ pid: found.pid }, "worker.dismissed");
        await this.#letGo(found);
      }
    }
  }

  /** Until the first change of routes, a worker that joins gets those which the others have. */
  async #adopt(worker: Worker): Promise<void> {
    const { routes } = await worker.ask("table", {});
    for (const route of routes) this.#routes.set(route.app, route);
    this.#routesKnown = true;
    this.#join(worker);
    this.#options.log.info({ pid: worker.pid }, "worker.adopted");
  }

  /** Null when nobody answers there: the worker has ended, or is stuck and of no use. */
  async #find(path: string): Promise<Worker | null> {
    try {
      return await this.#connect(path, true);
    } catch (error) {
      this.#options.log.info({ path, error: (error as Error).message }, "worker.gone");
      await rm(path, { force: true });
      return null;
    }
  }

  async #fill(): Promise<void> {
    while (!this.#ending && this.#workers.size < this.#options.count) await this.#add();
    const surplus = [...this.#workers].slice(this.#options.count);
    for (const worker of surplus) await this.#letGo(worker);
  }

  #all(): Worker[] {
    return [...this.#workers, ...this.#leaving];
  }

  /** Resolves when it accepts no more; it ends in its own time. */
  async #letGo(worker: Worker): Promise<void> {
    this.#workers.delete(worker);
    this.#leaving.add(worker);
    void worker.closed.then(() => this.#leaving.delete(worker));
    await worker.ask("leave", patience);
  }

  async #add(): Promise<void> {
    const { directory, entry, settings, log } = this.#options;
    this.#serial += 1;
    const control = join(directory, `${process.pid}-${Date.now().toString(36)}-${this.#serial}.sock`);
    const elder = [...this.#workers][0];
    if (elder) await elder.ask("sibling", { entry, settings: { ...settings, control } });
    else await forkWorker(entry, { ...settings, control }, join(directory, "output.log"));
    await this.#turns.run("routes", async () => {
      const worker = await this.#connect(control);
      // Without routes it lets its connections wait, which is better than to know no hostname.
      const all = { replace: true, put: [...this.#routes.values()], remove: [] };
      if (this.#routesKnown) await worker.ask("routes", all);
      this.#join(worker);
      log.info({ pid: worker.pid }, "worker.started");
      if (this.#ending) await worker.dismiss(atOnce);
    });
  }

  #connect(path: string, isAdopted = false): Promise<Worker> {
    return Worker.connect(path, { isAdopted, log: this.#options.log });
  }

  #join(worker: Worker): void {
    this.#workers.add(worker);
    void worker.closed.then(() => this.#replace(worker));
  }

  async #replace(worker: Worker): Promise<void> {
    if (!this.#workers.delete(worker) || this.#ending) return;
    this.#options.log.warn({ pid: worker.pid }, "worker.died");
    const pauses = backoff({ first: 100, most: 10_000 });
    while (!this.#ending) {
      try {
        return await this.#turns.run("members", () => this.#fill());
      } catch (error) {
        this.#options.log.error({ error: (error as Error).message }, "worker.not-replaced");
        await pause(pauses.next());
      }
    }
  }
}

async function readSettings(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return null; // None yet, or unreadable: then no worker's settings are known to be the wanted ones.
  }
}
