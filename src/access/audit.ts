import { appendFile, mkdir, readFile, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AuditEntry } from "../app/key.ts";
import { isSystemError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import { Serializer } from "../lib/serialize.ts";

/** How large a file may become before a new one is begun, and how many are kept: 16 MB in all. */
const partBytes = 4 * 1024 * 1024;
const parts = 4;

/**
 * Who did what: lines of JSON that are only ever added, the latest in <home>/state/audit/audit.jsonl, earlier ones in
 * audit.1.jsonl and so on. What cannot be written is an error in the log, and holds nothing up.
 */
export class Audit {
  readonly #directory: string;
  readonly #log: Log;
  readonly #turns = new Serializer<"write">();
  #bytes: number | null = null;

  constructor(home: string, log: Log) {
    this.#directory = join(home, "state", "audit");
    this.#log = log;
  }

  /** Adds an entry; resolves when it is in the file. */
  async note(entry: Omit<AuditEntry, "v" | "at">): Promise<void> {
    const line = `${JSON.stringify({ v: 1, at: new Date().toISOString(), ...entry })}\n`;
    try {
      await this.#turns.run("write", () => this.#append(line));
    } catch (error) {
      this.#log.error({ err: error, entry }, "audit.failed");
    }
  }

  /** The last `count` entries, the latest last; of one app when it is named. */
  async last(count: number, app?: string): Promise<AuditEntry[]> {
    await this.#turns.idle(); // What was noted before is in there.
    const found: AuditEntry[] = [];
    for (let part = 0; part < parts && found.length < count; part++) {
      const entries = (await this.#read(part)).filter((entry) => app === undefined || entry.app === app);
      found.unshift(...entries.slice(Math.max(0, entries.length - (count - found.length))));
    }
    return found;
  }

  async #append(line: string): Promise<void> {
    const path = this.#path(0);
    this.#bytes ??= await sizeOf(path);
    if (this.#bytes > 0 && this.#bytes + line.length > partBytes) await this.#begin();
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await appendFile(path, line, { mode: 0o600 });
    this.#bytes += Buffer.byteLength(line);
  }

  /** Every part becomes the next older one; the oldest goes. */
  async #begin(): Promise<void> {
    for (let part = parts - 2; part >= 0; part--) {
      await rename(this.#path(part), this.#path(part + 1)).catch((error: unknown) => {
        if (!isSystemError(error, "ENOENT")) throw error;
      });
    }
    this.#bytes = 0;
  }

  async #read(part: number): Promise<AuditEntry[]> {
    try {
      const lines = (await readFile(this.#path(part), "utf8")).split("\n");
      return lines.flatMap(parseEntry);
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return [];
      throw error;
    }
  }

  #path(part: number): string {
    return join(this.#directory, part === 0 ? "audit.jsonl" : `audit.${part}.jsonl`);
  }
}

/** A line that a power cut left unfinished is passed over. */
function parseEntry(line: string): AuditEntry[] {
  try {
    const entry = AuditEntry.safeParse(JSON.parse(line)).data;
    return entry === undefined ? [] : [entry];
  } catch {
    return []; // Unfinished.
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return 0;
    throw error;
  }
}
