import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { writeAtomic } from "../lib/atomic-file.ts";
import { type Channel, connectChannel } from "../lib/channel.ts";
import type { Log } from "../lib/log.ts";
import { Serializer } from "../lib/serialize.ts";
import {
  type AppRoute,
  type DrainLimits,
  exchanges,
  type InFlight,
  type RoutesChange,
  type WorkerSettings,
  type WorkerStatus,
} from "../protocol/worker.ts";
import type { Traffic } from "./ports.ts";
import { forkWorker } from "./worker-process.ts";

type Worker = { pid: number; channel: Channel<typeof exchanges> };
export type WorkersOptions = {
  /** <home>/run/workers: sockets, the settings in force, the workers' output. */
  directory: string;
  /** The program of a worker. */
  entry: string;
  settings: Omit<WorkerSettings, "control">;
  count: number;
  log: Log;
};

/** A worker that does not answer within this time is stuck, and is replaced. */
const answerMs = 10_000;

/**
 * The proxy workers. They own the listening sockets and outlive the controller: those that run are taken over,
 * one that dies is replaced by a sibling of another, which is handed the sockets.
 */
export class Workers implements Traffic {
  readonly #options: WorkersOptions;
  readonly #workers = new Set<Worker>();
  readonly #routes = new Map<string, AppRoute>();
  /** Changes of routes and joining workers come one after the other, so that no worker misses a change. */
  readonly #turns = new Serializer<"routes" | "members">();
  #ending = false;
  #serial = 0;

  private constructor(options: WorkersOptions) {
    this.#options = options;
  }

  static async start(options: WorkersOptions): Promise<Workers> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const workers = new Workers(options);
    await workers.#takeOver();
    await workers.#turns.run("members", () => workers.#fill());
    return workers;
  }

  async apply(change: RoutesChange): Promise<void> {
    await this.#turns.run("routes", async () => {
      if (change.replace) this.#routes.clear();
      for (const app of change.remove) this.#routes.delete(app);
      for (const route of change.put) this.#routes.set(route.app, route);
      await Promise.all([...this.#workers].map((worker) => this.#confirm(worker, change)));
    });
  }

  async drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    const left = { requests: 0, streams: 0 };
    const answers = await Promise.allSettled(
      [...this.#workers].map(({ channel }) => channel.ask("drain", { instance, ...limits })),
    );
    for (const answer of answers) {
      // A worker that died meanwhile took what was under way with it: nothing is left there.
      if (answer.status === "rejected") continue;
      left.requests += answer.value.requests;
      left.streams += answer.value.streams;
    }
    return left;
  }

  async status(): Promise<WorkerStatus[]> {
    const answers = await Promise.allSettled(
      [...this.#workers].map(({ channel }) => channel.ask("status", {})),
    );
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  /** Lets the workers go on without a controller. */
  disconnect(): void {
    this.#ending = true;
    for (const { channel } of this.#workers) channel.close();
  }

  /** Ends the workers, once what is under way has finished or the limits have passed. */
  async end(limits: DrainLimits): Promise<void> {
    this.#ending = true;
    await Promise.allSettled([...this.#workers].map((worker) => this.#dismiss(worker, limits)));
  }

  async #dismiss({ channel }: Worker, limits: DrainLimits): Promise<void> {
    await channel.ask("leave", limits);
    await channel.closed;
  }

  /** A worker that dies instead of confirming routes nothing any more; one that is stuck is made to. */
  async #confirm(worker: Worker, change: RoutesChange): Promise<void> {
    const deadline = setTimeout(() => {
      this.#options.log.error({ pid: worker.pid, answerMs }, "worker.stuck");
      process.kill(worker.pid, "SIGKILL");
    }, answerMs);
    try {
      await worker.channel.ask("routes", change);
    } catch (error) {
      this.#options.log.warn(
        { pid: worker.pid, error: (error as Error).message },
        "worker.routes.unconfirmed",
      );
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Connects to the workers of an earlier controller. Those that listen elsewhere than wanted leave. */
  async #takeOver(): Promise<void> {
    const { directory, settings, log } = this.#options;
    const before = await readSettings(join(directory, "settings.json"));
    await writeAtomic(join(directory, "settings.json"), JSON.stringify(settings));
    for (const file of await readdir(directory)) {
      if (!file.endsWith(".sock")) continue;
      const found = await this.#connect(join(directory, file)).catch(() => null);
      if (!found) continue;
      if (isDeepStrictEqual(before, settings)) {
        this.#join(found);
        log.info({ pid: found.pid }, "worker.adopted");
      } else {
        log.info({ pid: found.pid }, "worker.dismissed");
        await found.channel.ask("leave", { requestsMs: 30_000, streamsMs: 10_000 });
      }
    }
  }

  async #fill(): Promise<void> {
    while (!this.#ending && this.#workers.size < this.#options.count) await this.#add();
    const surplus = [...this.#workers].slice(this.#options.count);
    for (const worker of surplus) {
      this.#workers.delete(worker);
      await worker.channel.ask("leave", { requestsMs: 30_000, streamsMs: 10_000 });
    }
  }

  async #add(): Promise<void> {
    const { directory, entry, settings } = this.#options;
    this.#serial += 1;
    const control = join(directory, `${process.pid}-${Date.now().toString(36)}-${this.#serial}.sock`);
    const elder = [...this.#workers][0];
    if (elder) await elder.channel.ask("sibling", { entry, settings: { ...settings, control } });
    else await forkWorker(entry, { ...settings, control }, join(directory, "output.log"));
    await this.#turns.run("routes", async () => {
      const worker = await this.#connect(control);
      await worker.channel.ask("routes", { replace: true, put: [...this.#routes.values()], remove: [] });
      this.#join(worker);
      this.#options.log.info({ pid: worker.pid }, "worker.started");
    });
  }

  async #connect(path: string): Promise<Worker> {
    const channel = await connectChannel(path, exchanges);
    const { pid } = await channel.ask("status", {});
    return { pid, channel };
  }

  #join(worker: Worker): void {
    this.#workers.add(worker);
    void worker.channel.closed.then(() => this.#replace(worker));
  }

  async #replace(worker: Worker): Promise<void> {
    if (!this.#workers.delete(worker) || this.#ending) return;
    this.#options.log.warn({ pid: worker.pid }, "worker.died");
    try {
      await this.#turns.run("members", () => this.#fill());
    } catch (error) {
      this.#options.log.error({ error: (error as Error).message }, "worker.not-replaced");
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
