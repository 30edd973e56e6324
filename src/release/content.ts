import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { copyFile } from "node:fs/promises";
import { changedMeanwhile } from "./failures.ts";
import type { Modes } from "./modes.ts";
import type { Pace } from "./pace.ts";
import type { SourceFile } from "./tree.ts";
import { openBelow, pathOf } from "./walk.ts";

const bufferBytes = 1024 * 1024;

type Copied = Pick<SourceFile, "path" | "size" | "executable">;

/** Reads and copies files a piece at a time. One for each release that is made: makers must not share a buffer. */
export class Content {
  readonly pace: Pace;
  readonly #root: string;
  readonly #buffer = Buffer.allocUnsafeSlow(bufferBytes);

  constructor(root: string, pace: Pace) {
    this.#root = root;
    this.pace = pace;
  }

  /** SHA-256 of a file's content, in hex. */
  async digest(file: Copied): Promise<string> {
    const source = this.#open(file);
    try {
      return (await this.#pump(source, null)).digest;
    } finally {
      closeSync(source);
    }
  }

  /**
   * Copies a file to a path that is free, and says what it copied: the file may be changing at this moment.
   * The copy has an inode of its own.
   */
  async copy(file: Copied, to: string, modes: Modes): Promise<{ digest: string; size: number }> {
    const source = this.#open(file);
    try {
      const big = file.size > bufferBytes;
      // A clone shares blocks with the original until one of them is written, where the file system can do it.
      if (big) await copyFile(pathOf(source), to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      const copy = openSync(to, big ? "r" : "wx", 0o600);
      try {
        const copied = await this.#pump(big ? copy : source, big ? null : copy);
        fchmodSync(copy, file.executable ? modes.program : modes.file);
        if (modes.gid !== null) fchownSync(copy, -1, modes.gid);
        const { atimeMs, mtimeMs } = fstatSync(source);
        futimesSync(copy, atimeMs / 1000, mtimeMs / 1000);
        return copied;
      } finally {
        closeSync(copy);
      }
    } finally {
      closeSync(source);
    }
  }

  /** What was a file when it was listed may be a device by now, which has no end. */
  #open({ path }: Copied): number {
    const source = openBelow(this.#root, path);
    if (fstatSync(source).isFile()) return source;
    closeSync(source);
    throw changedMeanwhile(path);
  }

  /** All of a descriptor, from its start to its end, into `to` when there is one. */
  async #pump(from: number, to: number | null): Promise<{ digest: string; size: number }> {
    const hash = createHash("sha256");
    let size = 0;
    for (;;) {
      const count = readSync(from, this.#buffer, 0, bufferBytes, size);
      if (count === 0) return { digest: hash.digest("hex"), size };
      const chunk = this.#buffer.subarray(0, count);
      hash.update(chunk);
      for (let written = 0; to !== null && written < count; ) {
        written += writeSync(to, chunk, written, count - written, size + written);
      }
      size += count;
      if (this.pace.isDue()) await this.pace.rest();
    }
  }
}
