import { readFile, rm } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeAtomic } from "../../lib/atomic-file.ts";
import type { Side } from "./sequences.ts";

const Record = z.object({ v: z.literal(1), side: z.enum(["local", "remote"]) });

/**
 * From where a database was last served, as it stands on the disk. There is a record only once all of the database has
 * been at its second home: before that nobody can be sent there.
 */
export class ServingRecord {
  readonly #path: string;
  side: Side;
  isSeeded: boolean;

  private constructor(path: string, side: Side | null) {
    this.#path = path;
    this.side = side ?? "local";
    this.isSeeded = side !== null;
  }

  static async open(path: string): Promise<ServingRecord> {
    try {
      return new ServingRecord(path, Record.parse(JSON.parse(await readFile(path, "utf8"))).side);
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return new ServingRecord(path, null);
      throw error;
    }
  }

  async seed(): Promise<void> {
    if (!this.isSeeded) await this.move(this.side);
  }

  /** On the disk first: an endpoint that starts in between knows where the last writes went. */
  async move(side: Side): Promise<void> {
    await writeAtomic(this.#path, JSON.stringify({ v: 1, side }));
    this.side = side;
    this.isSeeded = true;
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
    this.isSeeded = false;
  }
}
