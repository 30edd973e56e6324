import { appendFileSync, readFileSync, renameSync, rmSync, type Stats, writeFileSync } from "node:fs";
import { isSystemError } from "../errors.ts";
import { temporaryPath, timesPath } from "./names.ts";
import { formatMark, markAfter, markOf, parseMarks, type TimeMark } from "./times.ts";

/**
 * The times of one log, as its keeper writes them down. Synchronous: they are a few bytes, and nothing can come in
 * between.
 */
export class TimeIndex {
  readonly #path: string;
  #last: TimeMark = { offset: 0, at: 0 };
  #bytes = 0;

  /** What is damaged in the file is left out of it; a file that speaks of bytes that are not there is of no use. */
  constructor(log: string, { size }: { size: number }) {
    this.#path = timesPath(log);
    const text = this.#read();
    const marks = parseMarks(text);
    if ((marks.at(-1)?.offset ?? 0) > size) this.drop();
    else this.#keep(text, marks);
  }

  /** The offset before which all bytes have a time. */
  get end(): number {
    return this.#last.offset;
  }

  /** What the times of the bytes that are not cut off yet take on the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Notes that what is there now is there. `isNew`: somebody looked when there was nothing yet. */
  mark(stats: Stats, { isNew }: { isNew: boolean }): void {
    const mark = markAfter(this.#last, markOf(stats, { isFirst: this.#last.offset === 0 && !isNew }));
    const line = formatMark(mark);
    appendFileSync(this.#path, line, { mode: 0o600 });
    this.#last = mark;
    this.#bytes += line.length;
  }

  /** Forgets the times of bytes before `base`, which are kept no longer; those before `cutTo` have been cut off. */
  trim(base: number, cutTo: number): void {
    const text = this.#read();
    const marks = parseMarks(text);
    this.#keep(
      text,
      marks.filter(({ offset }) => offset > base),
    );
    const left = marks.filter(({ offset }) => offset > Math.max(base, cutTo));
    this.#bytes = left.map(formatMark).join("").length;
  }

  /** Forgets all of it. */
  drop(): void {
    rmSync(this.#path, { force: true });
    this.#last = { offset: 0, at: 0 };
    this.#bytes = 0;
  }

  #keep(text: string, marks: readonly TimeMark[]): void {
    const kept = marks.map(formatMark).join("");
    if (kept !== text) {
      writeFileSync(temporaryPath(this.#path), kept, { mode: 0o600 });
      renameSync(temporaryPath(this.#path), this.#path);
    }
    this.#last = marks.at(-1) ?? { offset: 0, at: 0 };
    this.#bytes = kept.length;
  }

  #read(): string {
    try {
      return readFileSync(this.#path, "latin1");
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return "";
      throw error;
    }
  }
}
