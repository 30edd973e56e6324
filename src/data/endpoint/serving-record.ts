import { readFile, rm } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeAtomic } from "../../lib/atomic-file.ts";
import type { Side } from "./sequences.ts";

const Stored = z.object({
  v: z.literal(1),
  side: z.enum(["local", "remote"]),
  seeded: z.boolean().default(true),
  mark: z.string().nullable().default(null),
});
type Stored = z.infer<typeof Stored>;

/** What stands on the disk of a database with a second home. */
export class ServingRecord {
  readonly #path: string;
  #stored: Stored;

  private constructor(path: string, stored: Stored) {
    this.#path = path;
    this.#stored = stored;
  }

  static async open(path: string): Promise<ServingRecord> {
    try {
      return new ServingRecord(path, Stored.parse(JSON.parse(await readFile(path, "utf8"))));
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return new ServingRecord(path, nothing);
      throw error;
    }
  }

  /** From where it is served. */
  get side(): Side {
    return this.#stored.side;
  }

  /** All of it has been at its second home once: before that nobody can be sent there. */
  get isSeeded(): boolean {
    return this.#stored.seeded;
  }

  /** By what the second home is known again, see second-home.ts. */
  get mark(): string | null {
    return this.#stored.mark;
  }

  async seed(): Promise<void> {
    if (!this.isSeeded) await this.#save({ seeded: true });
  }

  async note(mark: string): Promise<void> {
    await this.#save({ mark });
  }

  /** On the disk first: an endpoint that starts in between knows where the last writes went. */
  async move(side: Side): Promise<void> {
    await this.#save({ side });
  }

  /** Its second home is not what it was. */
  async unseed(): Promise<void> {
    if (this.isSeeded || this.mark !== null) await this.#save({ seeded: false, mark: null });
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#stored = nothing;
  }

  async #save(change: Partial<Stored>): Promise<void> {
    const stored = { ...this.#stored, ...change };
    await writeAtomic(this.#path, JSON.stringify(stored));
    this.#stored = stored;
  }
}

const nothing: Stored = { v: 1, side: "local", seeded: false, mark: null };
