import { type Stats, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { isSystemError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import { CannotPunchError, cutOff, ShortenedError } from "./cut.ts";
import { blockBytes, type Part, wholeBlocks } from "./parts.ts";
import { settle } from "./settle.ts";
import { TimeIndex } from "./time-index.ts";

export type Bounds = {
  /** How large a part may become, with its times, in bytes. */
  partBytes: number;
  /** How many parts are kept, the one that is written to included: 2 or more. */
  parts: number;
};

/** What failed, such as for want of room, is tried again after this time, in ms. */
const retryMs = 60_000;

/** One log under the eyes of its keeper: notes when its bytes came, and cuts off its beginning when it is full. */
export class KeptLog {
  readonly #path: string;
  readonly #bounds: Bounds;
  readonly #log: Log;
  #times: TimeIndex | null = null;
  #size = 0;
  /** Where what is not cut off begins. */
  #cutTo = 0;
  /** Whether it has to be found out what its parts are: nothing is known yet, or it became shorter. */
  #isUnsettled = true;
  #tending: Promise<void> | null = null;
  #notBefore = 0;

  constructor(path: string, bounds: Bounds, log: Log) {
    this.#path = path;
    this.#bounds = bounds;
    this.#log = log;
  }

  /** Notes what came since the last look; false when nothing did. What there is to cut is cut behind its back. */
  look(): boolean {
    const stats = statSync(this.#path, { throwIfNoEntry: false });
    if (stats === undefined) return false;
    try {
      const changed = this.#note(stats);
      if (this.#wantsTending()) this.#tending ??= this.#tend().finally(() => (this.#tending = null));
      return changed;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Resolves when nothing is being cut. */
  async settled(): Promise<void> {
    await this.#tending;
  }

  #note(stats: Stats): boolean {
    const isFirstLook = this.#times === null;
    this.#times ??= new TimeIndex(this.#path, stats);
    const { size } = stats;
    const changed = size !== this.#size;
    if (size < this.#size) {
      this.#times.drop();
      this.#isUnsettled = true;
    }
    this.#size = size;
    if (changed && size > this.#times.end) this.#times.mark(stats, { isNew: !isFirstLook });
    return changed;
  }

  #wantsTending(): boolean {
    return performance.now() >= this.#notBefore && (this.#isUnsettled || this.#isFull());
  }

  #isFull(): boolean {
    const live = this.#size - this.#cutTo;
    return live + (this.#times?.bytes ?? 0) >= this.#bounds.partBytes && live >= blockBytes;
  }

  async #tend(): Promise<void> {
    try {
      while (this.#wantsTending()) {
        this.#isUnsettled = false;
        const parts = await this.#settle();
        this.#cutTo = endOf(parts);
        await this.#retain(parts);
        if (this.#isFull()) await this.#cut();
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  async #settle(): Promise<Part[]> {
    const parts = await settle(this.#path);
    if (parts !== null) return parts;
    // Its times may be those of what it was before: the next look notes anew what there is.
    this.#times?.drop();
    this.#size = 0;
    this.#log.info({ log: this.#path }, "log.begun-anew");
    return [];
  }

  /** Removes the oldest parts, and their times with them. Before a new one comes, so that there never are more. */
  async #retain(parts: readonly Part[]): Promise<void> {
    const kept = this.#bounds.parts - (this.#isFull() ? 2 : 1);
    const old = parts.slice(0, Math.max(0, parts.length - kept));
    for (const { path } of old) await rm(path, { force: true });
    this.#times?.trim(endOf(old), this.#cutTo);
  }

  async #cut(): Promise<void> {
    const from = this.#firstWorthKeeping();
    const to = wholeBlocks(Math.min(this.#size, from + this.#bounds.partBytes));
    await cutOff(this.#path, from, to);
    this.#cutTo = to;
    this.#times?.trim(0, to);
  }

  /** An app can make its log longer than it is: a hole of terabytes, truncate(2), is not carried over. */
  #firstWorthKeeping(): number {
    const { size, blocks } = statSync(this.#path);
    const kept = this.#bounds.parts * this.#bounds.partBytes;
    const live = size - this.#cutTo;
    return live > kept && blocks * 512 < live / 2 ? wholeBlocks(size - kept) : this.#cutTo;
  }

  #failed(error: unknown): void {
    this.#isUnsettled = true;
    // It was removed, or begun anew, at this moment: the next look sees what there is.
    if (isSystemError(error, "ENOENT") || error instanceof ShortenedError) return;
    this.#notBefore =
      error instanceof CannotPunchError ? Number.POSITIVE_INFINITY : performance.now() + retryMs;
    this.#log.warn({ log: this.#path, error: (error as Error).message }, "log.not-cut");
  }
}

const endOf = (parts: readonly Part[]): number => parts.at(-1)?.end ?? 0;
