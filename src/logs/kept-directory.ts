import { once } from "node:events";
import { type FSWatcher, watch } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { namesIn } from "../lib/directory.ts";
import type { Log } from "../lib/log.ts";
import { type Bounds, KeptLog } from "./kept-log.ts";
import { logBeside, parseLogName } from "./names.ts";

/** While a directory changes, it is looked at this often, in ms: the precision of its lines' times. */
const busyMs = 100;
/** A watch can be lost, or not be had at all: a directory is looked at after this time in any case, in ms. */
const quietMs = 30_000;

/**
 * The logs of one app. While nothing comes, the kernel is asked to tell; while something comes, nobody is told, since
 * a word for each of ten thousand lines would cost more than a look at all of them.
 */
export class KeptDirectory {
  readonly #path: string;
  readonly #bounds: Bounds;
  readonly #log: Log;
  readonly #logs = new Map<string, KeptLog>();
  readonly #ending = new AbortController();
  readonly #kept: Promise<void>;

  constructor(path: string, bounds: Bounds, log: Log) {
    this.#path = path;
    this.#bounds = bounds;
    this.#log = log;
    this.#kept = this.#keep(this.#ending.signal);
  }

  /** How many logs there are. */
  get count(): number {
    return this.#logs.size;
  }

  /** Looks once more and finishes what is being cut. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#kept;
    await this.#look();
    await Promise.all([...this.#logs.values()].map((log) => log.settled()));
  }

  async #keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // It is watched before the look: what comes after it is told.
      using change = new Change(this.#path);
      if (await this.#look()) {
        change[Symbol.dispose]();
        await pause(busyMs, undefined, { signal }).catch(() => {}); // ended
      } else await change.within(quietMs, signal);
    }
  }

  /** Whether any log changed since the last look. */
  async #look(): Promise<boolean> {
    const names = new Set(await namesIn(this.#path));
    for (const name of names) {
      const log = logBeside(name);
      if (log !== null && !names.has(log)) await rm(join(this.#path, name), { force: true });
      if (parseLogName(name) && !this.#logs.has(name)) {
        this.#logs.set(name, new KeptLog(join(this.#path, name), this.#bounds, this.#log));
      }
    }
    let changed = false;
    for (const [name, log] of this.#logs) {
      if (!names.has(name)) this.#logs.delete(name);
      else if (log.look()) changed = true;
    }
    return changed;
  }
}

/** Tells once that something happened in a directory, or in the one above while it is not there itself. */
class Change implements Disposable {
  readonly #watcher: FSWatcher | null;
  readonly #happened: Promise<unknown>;

  constructor(path: string) {
    this.#watcher = tryWatch(path) ?? tryWatch(dirname(path));
    this.#happened = this.#watcher
      ? once(this.#watcher, "change").catch(() => {}) // The watch is lost: what there is is seen by looking.
      : new Promise(() => {});
  }

  async within(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const waited = new AbortController();
    const end = () => waited.abort();
    // Not a promise of the signal, which would be kept for as long as the signal is.
    signal.addEventListener("abort", end);
    void this.#happened.then(end);
    await pause(ms, undefined, { signal: waited.signal }).catch(() => {}); // something happened in time
    signal.removeEventListener("abort", end);
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }
}

function tryWatch(path: string): FSWatcher | null {
  try {
    return watch(path);
  } catch {
    return null; // It is not there, or there are no more watches to be had: then it is looked at now and then.
  }
}
