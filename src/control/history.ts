import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type DeployOutcome, DeployRecord } from "../app/deploy.ts";
import { removeTemporary, writeAtomic, writeWhole } from "../lib/atomic-file.ts";
import { namesIn } from "../lib/directory.ts";
import type { Log } from "../lib/log.ts";
import type { Stamps } from "../lib/stamp.ts";
import { Deploy, type DeployFacts } from "./deploy.ts";

/** How many deploys of an app are remembered. */
const kept = 50;

export type HistoryOptions = { home: string; stamps: Stamps; log: Log };

/** The deploys of every app: one file each under state/deploys/APP/. What cannot be read there is left out. */
export class History {
  readonly #directory: string;
  readonly #stamps: Stamps;
  readonly #log: Log;
  /** The highest release that a deploy of the app ever made: its number is not used again. */
  readonly #highest = new Map<string, number>();
  readonly #writing = new Set<Promise<void>>();
  #unfinished: DeployRecord[] = [];

  private constructor({ home, stamps, log }: HistoryOptions) {
    this.#directory = join(home, "state", "deploys");
    this.#stamps = stamps;
    this.#log = log;
  }

  static async open(options: HistoryOptions): Promise<History> {
    const history = new History(options);
    for (const app of await namesIn(history.#directory)) {
      for (const record of await history.of(app)) history.#recall(record);
    }
    return history;
  }

  /** Removes what a controller that was killed had not finished writing. */
  async removeTorn(): Promise<void> {
    for (const app of await namesIn(this.#directory)) {
      await removeTemporary(join(this.#directory, app));
    }
  }

  #recall(record: DeployRecord): void {
    this.#stamps.seen(record.id);
    this.#noteRelease(record);
    if (record.outcome === null) this.#unfinished.push(record);
  }

  /** The deploys of an app, the latest first. */
  async of(app: string): Promise<DeployRecord[]> {
    const directory = join(this.#directory, app);
    const names = (await namesIn(directory)).filter((name) => name.endsWith(".json"));
    const records = await Promise.all(names.map((name) => read(join(directory, name))));
    return records
      .filter((record) => record !== null)
      .filter((record) => record.app === app)
      .sort((a, b) => b.id.localeCompare(a.id));
  }

  /** Deploys that an earlier controller began and did not end. */
  get unfinished(): readonly DeployRecord[] {
    return this.#unfinished;
  }

  highestRelease(app: string): number {
    return this.#highest.get(app) ?? 0;
  }

  /** Nothing is written before its first step: a misspelt name leaves no trace. */
  begin(facts: Omit<DeployFacts, "id">): Deploy {
    return new Deploy({ id: this.#stamps.next(), ...facts }, (record, { last }) => {
      const written = this.#write(record, last).finally(() => this.#writing.delete(written));
      this.#writing.add(written);
      return written;
    });
  }

  /** Resolves when what was noted is on disk. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  /** Ends a deploy in the place of the controller that began it; it ended when that one was last heard of. */
  async conclude(record: DeployRecord, outcome: DeployOutcome): Promise<void> {
    this.#unfinished = this.#unfinished.filter(({ id }) => id !== record.id);
    await this.#write({ ...record, outcome, endedAt: record.heartbeatAt }, true);
  }

  async forget(app: string): Promise<void> {
    this.#highest.delete(app);
    await rm(join(this.#directory, app), { recursive: true, force: true });
  }

  /** A history that cannot be written is no reason for a deploy to fail. */
  async #write(record: DeployRecord, last: boolean): Promise<void> {
    this.#noteRelease(record);
    const text = `${JSON.stringify(record, null, 2)}\n`;
    const path = join(this.#directory, record.app, `${record.id}.json`);
    try {
      await (last ? writeAtomic(path, text) : writeWhole(path, text));
      if (last) await this.#sweep(record.app);
    } catch (error) {
      const { app, id: deploy } = record;
      this.#log.warn({ app, deploy, error: (error as Error).message }, "history.not-written");
    }
  }

  #noteRelease({ app, release }: DeployRecord): void {
    if (release !== null) this.#highest.set(app, Math.max(release, this.highestRelease(app)));
  }

  async #sweep(app: string): Promise<void> {
    const names = (await namesIn(join(this.#directory, app))).filter((name) => name.endsWith(".json")).sort();
    for (const name of names.slice(0, -kept)) await rm(join(this.#directory, app, name), { force: true });
  }
}

async function read(path: string): Promise<DeployRecord | null> {
  try {
    return DeployRecord.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null; // Truncated or edited by hand: one line of history less.
  }
}
