import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { namesIn } from "../lib/directory.ts";
import { type Line, LineSplitter } from "./lines.ts";
import { LogFile } from "./log-file.ts";

export type FollowOptions = {
  /** The offset at which a file of the directory is begun, such as a `Tail`'s `end`; null when it is not wanted. */
  from(name: string): number | null;
  onLine(name: string, line: Line): void;
  /** Ends the following. */
  signal: AbortSignal;
};

/**
 * Gives each line of the logs in a directory as it is written, until the signal aborts; then it resolves. A log may
 * come later, be cut off in place, or be replaced by another; the directory has to be there. Rejects when it cannot
 * be read.
 */
export async function follow(directory: string, { from, onLine, signal }: FollowOptions): Promise<void> {
  const logs = new Map<string, FollowedLog>();
  const readOn = async (name: string): Promise<void> => {
    const begin = logs.has(name) ? null : from(name);
    if (begin !== null) {
      logs.set(name, new FollowedLog(join(directory, name), begin, (line) => onLine(name, line)));
    }
    await logs.get(name)?.readOn();
  };
  // One for the directory and not one a file: it also tells when a log appears or is replaced.
  using changes = new Changes(directory, signal);
  for (const name of await namesIn(directory)) await readOn(name);
  while (!signal.aborted) {
    for (const name of await changes.next()) await readOn(name);
  }
}

/** Remembers what changed while nobody was waiting: no change is missed, several become one. */
class Changes implements Disposable {
  readonly #watcher: FSWatcher;
  #names = new Set<string>();
  #next = Promise.withResolvers<void>();
  #failure: Error | null = null;

  constructor(directory: string, signal: AbortSignal) {
    this.#watcher = watch(directory, { signal }, (_event, name) => {
      if (name !== null) this.#names.add(name);
      this.#next.resolve();
    });
    this.#watcher.on("error", (error) => {
      this.#failure = error;
      this.#next.resolve();
    });
    this.#watcher.on("close", () => this.#next.resolve());
  }

  /** The names of the files that changed since the last time; none when it has been closed. */
  async next(): Promise<Set<string>> {
    await this.#next.promise;
    this.#next = Promise.withResolvers();
    if (this.#failure) throw this.#failure;
    const names = this.#names;
    this.#names = new Set();
    return names;
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}

const chunkBytes = 64 * 1024;

/** The place in a log up to which it has been read. */
class FollowedLog {
  readonly #path: string;
  readonly #onLine: (line: Line) => void;
  #lines: LineSplitter;
  #inode: number | null = null;
  #position: number;

  constructor(path: string, from: number, onLine: (line: Line) => void) {
    this.#path = path;
    this.#position = from;
    this.#onLine = onLine;
    this.#lines = new LineSplitter(onLine);
  }

  async readOn(): Promise<void> {
    const found = await LogFile.open(this.#path);
    if (found === null) return;
    await using log = found;
    const { ino, size } = await log.stat();
    const replaced = this.#inode !== null && this.#inode !== ino;
    this.#inode = ino;
    if (replaced || size < this.#position) this.#beginAgain();
    await this.#readToEnd(log);
  }

  #beginAgain(): void {
    this.#position = 0;
    this.#lines = new LineSplitter(this.#onLine);
  }

  async #readToEnd(log: LogFile): Promise<void> {
    for (;;) {
      const { pieces, end } = await log.read(this.#position, chunkBytes);
      if (end === this.#position) return;
      this.#position = end;
      for (const piece of pieces) this.#lines.push(piece);
    }
  }
}
