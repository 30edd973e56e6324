import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
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
import { judge, listensAsWanted, type WorkerProgram } from "./worker-program.ts";
import { findWorkers, forgetWorker } from "./worker-search.ts";
import { WorkerSet } from "./worker-set.ts";

export type WorkersOptions = {
  /** <home>/run/workers: sockets, the workers' output. */
  directory: string;
  program: WorkerProgram;
  /** Descriptors of listening sockets that a service manager handed to this process; the first worker gets them. */
  handed: readonly number[];
  log: Log;
};

const atOnce: DrainLimits = { requestsMs: 0, streamsMs: 0 };

/** Siblings have the sockets of their elders: other addresses take a start of their own. */
export class OtherAddressesError extends Error {}

/**
 * The proxy workers. They own the listening sockets and outlive the controller: those that run are taken over,
 * one that dies is replaced by a sibling of another, which is handed the sockets.
 */
export class Workers implements Traffic {
  readonly #directory: string;
  readonly #log: Log;
  readonly #handed: readonly number[];
  #program: WorkerProgram;
  readonly #set: WorkerSet;
  readonly #routes = new Map<string, AppRoute>();
  /** Changes of routes and joining workers come one after the other, so that no worker misses a change. */
  readonly #turns = new Serializer<"routes" | "members">();
  readonly #stranded = Promise.withResolvers<void>();
  /** Settles when no worker is coming up. */
  #joining: Promise<void> = Promise.resolve();
  #routesKnown = false;
  #ending = false;
  /** How many ran already when this controller came. */
  found = 0;
  #serial = 0;

  private constructor({ directory, handed, log, program }: WorkersOptions) {
    this.#directory = directory;
    this.#log = log;
    this.#handed = handed;
    this.#program = program;
    this.#set = new WorkerSet(log);
  }

  static async start(options: WorkersOptions): Promise<Workers> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const workers = new Workers(options);
    try {
      const outdated = await workers.#takeOver();
      await workers.#turns.run("members", () => workers.#fill());
      if (outdated.length > 0) void workers.#renewLater(outdated);
      return workers;
    } catch (error) {
      await workers.giveUp();
      throw error;
    }
  }

  /** Resolves when none is left, and a new one does not come up. */
  get stranded(): Promise<void> {
    return this.#stranded.promise;
  }

  routeOf(app: string): AppRoute | undefined {
    return this.#routes.get(app);
  }

  async apply(change: RoutesChange): Promise<void> {
    await this.#turns.run("routes", async () => {
      if (change.replace) this.#routes.clear();
      for (const app of change.remove) this.#routes.delete(app);
      for (const route of change.put) this.#routes.set(route.app, route);
      this.#routesKnown = true;
      await this.#set.route(change);
    });
    // One that is coming up accepts already, by the routes that its elder had: it is told of others when it has joined.
    await this.#joining;
  }

  drain(instance: string, limits: DrainLimits): Promise<InFlight> {
    return this.#set.drain(instance, limits);
  }

  status(): Promise<WorkerStatus[]> {
    return this.#set.status();
  }

  /**
   * Replaces every worker by one of another program, one after the other: the new one accepts before the old one stops.
   * Rejects when one does not come up, those that had not been replaced then go on; and with `OtherAddressesError`.
   */
  async roll(program: WorkerProgram): Promise<void> {
    await this.#turns.run("members", async () => {
      const { listen } = program.settings;
      if (this.#set.members.some(({ found }) => !listensAsWanted(found, listen)))
        throw new OtherAddressesError();
      const before = this.#program;
      this.#program = program;
      try {
        await this.#renew(this.#set.members);
      } catch (error) {
        this.#program = before;
        throw error;
      }
    });
  }

  /** After a start that failed: those that carried traffic before go on, those that it started end. */
  async giveUp(): Promise<void> {
    this.#ending = true;
    await Promise.allSettled(
      this.#set.all.map((worker) => (worker.isAdopted ? worker.disconnect() : worker.dismiss(atOnce))),
    );
  }

  /** Ends the workers, once what is under way has finished or the limits have passed. May be called again, to hurry. */
  async end(limits: DrainLimits): Promise<void> {
    this.#ending = true;
    await Promise.allSettled(this.#set.all.map((worker) => worker.dismiss(limits)));
    // One that was being started joins last, and is dismissed as it does.
    await this.#turns.run("members", async () => {});
  }

  /** Connects to the workers of an earlier controller, and answers those that are to be replaced. */
  async #takeOver(): Promise<Worker[]> {
    const outdated: Worker[] = [];
    for await (const { worker, routes } of findWorkers(this.#directory, this.#log)) {
      this.found += 1;
      const verdict = judge(worker.found, this.#program);
      if (worker.found.leaving) this.#set.keepLeaving(worker);
      else if (verdict === "let go") await this.#set.letGo(worker);
      else this.#adopt(worker, routes);
      if (verdict === "replace" && !worker.found.leaving) outdated.push(worker);
    }
    return outdated;
  }

  /** Until the first change of routes, a worker that joins gets those which the others have. */
  #adopt(worker: Worker, routes: readonly AppRoute[]): void {
    for (const route of routes) this.#routes.set(route.app, route);
    this.#routesKnown = true;
    this.#join(worker);
    this.#log.info({ pid: worker.pid }, "worker.adopted");
  }

  async #fill(): Promise<void> {
    const { count } = this.#program;
    while (!this.#ending && this.#set.members.length < count) await this.#add();
    for (const surplus of this.#set.members.slice(count)) await this.#set.letGo(surplus);
  }

  async #renew(outdated: readonly Worker[]): Promise<void> {
    for (const worker of outdated) {
      await this.#add();
      if (this.#set.members.includes(worker)) await this.#set.letGo(worker);
    }
    await this.#fill();
  }

  /** They serve meanwhile, and go on when that fails. */
  async #renewLater(outdated: readonly Worker[]): Promise<void> {
    try {
      await this.#turns.run("members", () => this.#renew(outdated));
    } catch (error) {
      this.#log.error({ error: (error as Error).message }, "worker.not-replaced");
    }
  }

  async #add(): Promise<void> {
    const joined = this.#bringUp();
    this.#joining = joined.catch(() => {}); // Whoever adds it is told.
    await joined;
  }

  async #bringUp(): Promise<void> {
    const { entry, settings: wanted } = this.#program;
    this.#serial += 1;
    const name = `${process.pid}-${Date.now().toString(36)}-${this.#serial}.sock`;
    const settings = { ...wanted, control: join(this.#directory, name) };
    const [elder] = this.#set.members;
    if (elder) await elder.ask("sibling", { entry, settings });
    else await this.#fork(entry, settings);
    await this.#turns.run("routes", async () => {
      const worker = await Worker.connect(settings.control, { isAdopted: false, log: this.#log });
      // Without routes it lets its connections wait, which is better than to know no hostname.
      const all = { replace: true, put: [...this.#routes.values()], remove: [] };
      if (this.#routesKnown) await worker.ask("routes", all);
      this.#join(worker);
      this.#log.info({ pid: worker.pid }, "worker.started");
      if (this.#ending) await worker.dismiss(atOnce);
    });
  }

  async #fork(entry: string, settings: WorkerSettings): Promise<void> {
    const outputFile = join(this.#directory, "output.log");
    await forkWorker(entry, settings, { outputFile, handed: this.#handed });
  }

  #join(worker: Worker): void {
    this.#set.join(worker, () => void this.#replace(worker));
  }

  async #replace(worker: Worker): Promise<void> {
    if (this.#ending) return;
    this.#log.warn({ pid: worker.pid }, "worker.died");
    await forgetWorker(worker.path); // One that is killed leaves it behind.
    const pauses = backoff({ first: 100, most: 10_000 });
    while (!this.#ending) {
      try {
        return await this.#turns.run("members", () => this.#fill());
      } catch (error) {
        this.#log.error({ error: (error as Error).message }, "worker.not-replaced");
        if (this.#set.members.length === 0) this.#stranded.resolve();
        await pause(pauses.next());
      }
    }
  }
}
