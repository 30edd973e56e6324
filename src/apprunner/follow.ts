import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { isSystemError } from "../errors.ts";
import { LineSplitter } from "./lines.ts";

export type FollowOptions = {
  /** The offset at which to begin, such as a `Tail`'s `end`. */
  from: number;
  /** Ends the following. */
  signal: AbortSignal;
  onLine: (line: string) => void;
};

/**
 * Gives each line of a log as it is written, until the signal aborts; then it resolves. The file may come later, be
 * cut off in place, or be replaced by another; its directory has to be there. Rejects when it cannot be read.
 */
export async function follow(path: string, { from, signal, onLine }: FollowOptions): Promise<void> {
  const log = new FollowedLog(path, from, onLine);
  // The directory and not the file: it also tells when the file appears or is replaced.
  using changes = new Changes(dirname(path), basename(path), signal);
  while (!signal.aborted) {
    await log.readOn();
    await changes.next();
  }
}

/** Remembers that something changed while nobody was waiting: no change is missed, several become one. */
class Changes implements Disposable {
  readonly #watcher: FSWatcher;
  #next = Promise.withResolvers<void>();
  #failure: Error | null = null;

  constructor(directory: string, name: string, signal: AbortSignal) {
    this.#watcher = watch(directory, { signal }, (_event, changed) => {
      if (changed === null || changed === name) this.#next.resolve();
    });
    this.#watcher.on("error", (error) => {
      this.#failure = error;
      this.#next.resolve();
    });
    this.#watcher.on("close", () => this.#next.resolve());
  }

  async next(): Promise<void> {
    await this.#next.promise;
    this.#next = Promise.withResolvers();
    if (this.#failure) throw this.#failure;
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}

/** The place in a log up to which it has been read. */
class FollowedLog {
  readonly #path: string;
  readonly #lines: LineSplitter;
  #inode: number | null = null;
  #position: number;

  constructor(path: string, from: number, onLine: (line: string) => void) {
    this.#path = path;
    this.#position = from;
    this.#lines = new LineSplitter(onLine);
  }

  async readOn(): Promise<void> {
    const file = await openIfThere(this.#path);
    if (file === null) return;
    await using log = file;
    const { ino, size } = await log.stat();
    const replaced = this.#inode !== null && this.#inode !== ino;
    this.#inode = ino;
    if (replaced || size < this.#position) this.#beginAgain();
    await this.#readToEnd(log);
  }

  #beginAgain(): void {
    this.#position = 0;
    this.#lines.reset();
  }

  async #readToEnd(log: FileHandle): Promise<void> {
    const block = Buffer.alloc(64 * 1024);
    for (;;) {
      const { bytesRead } = await log.read(block, 0, block.length, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      this.#lines.push(block.subarray(0, bytesRead));
    }
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return null;
    throw error;
  }
}
