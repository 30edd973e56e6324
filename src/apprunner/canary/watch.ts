import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { Attempt, type Isolation } from "../../app/isolation.ts";
import { writeWhole } from "../../lib/atomic-file.ts";
import { breaches, judge } from "./judge.ts";

/** What was found, and on what machine, by what version: anything else has to be tried anew. */
const Found = z.object({ v: z.literal(1), of: z.string(), triedAt: z.string(), attempts: z.array(Attempt) });
type Found = z.infer<typeof Found>;

export type WatchOptions = {
  /** What is known without trying. */
  known: Pick<Isolation, "level" | "notes">;
  /** All on which the outcome depends. */
  circumstances: readonly unknown[];
  /** Where it is kept. */
  path: string;
  attempt(): Promise<Attempt[]>;
  onFailure(error: Error): void;
};

/** What holds for the apps of this machine: tried once, when somebody wants to know or the first app has started. */
export class IsolationWatch {
  readonly #options: WatchOptions;
  #report: Isolation;
  #trying: Promise<void> | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#report = { ...options.known, holds: {}, attempts: [], triedAt: null };
  }

  /** As far as it is known by now. */
  get report(): Isolation {
    return this.#report;
  }

  /** Resolves when it was tried, or could not be: then `triedAt` is null and the notes say why. */
  async tried(): Promise<Isolation> {
    this.#trying ??= this.#try();
    await this.#trying;
    return this.#report;
  }

  /** Resolves when nothing is being tried. */
  async settled(): Promise<void> {
    await this.#trying;
  }

  async #try(): Promise<void> {
    const { path, attempt, onFailure } = this.#options;
    try {
      this.#take((await this.#recall()) ?? this.#found(await attempt()));
      await writeWhole(path, JSON.stringify(this.#found(this.#report.attempts)));
    } catch (error) {
      this.#trying = null; // The next one who asks tries again.
      const { level, notes } = this.#options.known;
      const { message } = error as Error;
      this.#report = { ...this.#report, level, notes: [...notes, `what holds is not known: ${message}`] };
      onFailure(error as Error);
    }
  }

  #take({ attempts, triedAt }: Found): void {
    const { level, notes } = this.#options.known;
    this.#report = {
      level,
      attempts,
      triedAt,
      holds: judge(attempts),
      notes: [...notes, ...breaches(attempts)],
    };
  }

  #found(attempts: Attempt[]): Found {
    return {
      v: 1,
      of: this.#circumstances,
      triedAt: this.#report.triedAt ?? new Date().toISOString(),
      attempts,
    };
  }

  async #recall(): Promise<Found | null> {
    try {
      const found = Found.parse(JSON.parse(await readFile(this.#options.path, "utf8")));
      return found.of === this.#circumstances ? found : null;
    } catch {
      return null; // never tried, or written by a version that wrote it otherwise
    }
  }

  get #circumstances(): string {
    return createHash("sha256").update(JSON.stringify(this.#options.circumstances)).digest("hex");
  }
}
