import type { Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { isSystemError } from "../errors.ts";
import { timesPath } from "./names.ts";

/*
 * When a log's lines came. The file beside a log has lines "OFFSET MILLISECONDS\n": all bytes before the offset were
 * there at that time. A log itself is what its app wrote, byte for byte, and has no room for it.
 */

/** `at` in ms since 1970; 0 when nobody saw these bytes come. */
export type TimeMark = { offset: number; at: number };

export const formatMark = ({ offset, at }: TimeMark): string => `${offset} ${at}\n`;

/** A file that nobody looked at for this long, in ms, after it began has lines of which nobody knows the time. */
const unseenMs = 2000;

/**
 * What the state of a log says of its bytes: at its last change they were there. The file system notes that with each
 * write, so it is right also for whoever looks later.
 */
export function markOf({ size, mtimeMs, birthtimeMs }: Stats, { isFirst }: { isFirst: boolean }): TimeMark {
  const unseen = isFirst && mtimeMs - birthtimeMs > unseenMs;
  return { offset: size, at: unseen ? 0 : Math.floor(mtimeMs) };
}

/** The mark that follows another one: a clock that was set back does not turn the order of lines. */
export const markAfter = (last: TimeMark | undefined, { offset, at }: TimeMark): TimeMark => ({
  offset,
  at: Math.max(at, last?.at ?? 0),
});

/** A clock may have been wrong for a while, but no line comes from the future. */
const clockErrorMs = 60_000;

/** The marks of a text in the order of their offsets; what is none, or goes backwards, is left out. */
export function parseMarks(text: string): TimeMark[] {
  const marks: TimeMark[] = [];
  const latest = Date.now() + clockErrorMs;
  let last: TimeMark = { offset: 0, at: 0 };
  for (const line of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
    const match = /^(\d{1,15}) (\d{1,15})$/.exec(line);
    const mark = { offset: Number(match?.[1]), at: Number(match?.[2]) };
    if (!match || mark.offset <= last.offset || mark.at < last.at || mark.at > latest) continue;
    marks.push(mark);
    last = mark;
  }
  return marks;
}

/** The times of a log's lines from some offset on. */
export class Times {
  readonly #marks: readonly TimeMark[];
  readonly #lastWriteMs: number;

  constructor(marks: readonly TimeMark[], lastWriteMs: number) {
    this.#marks = marks;
    this.#lastWriteMs = lastWriteMs;
  }

  /** When the line that ends at an offset came, in ms since 1970; null when that is not known. */
  at(end: number): number | null {
    return this.#marks[this.#indexOf(end)]?.at || null;
  }

  /** A time by which lines are put in order: that of the next line whose time is known, or the last write. */
  orderOf(end: number): number {
    for (let index = this.#indexOf(end); index < this.#marks.length; index += 1) {
      const at = this.#marks[index]?.at;
      if (at) return at;
    }
    return this.#lastWriteMs;
  }

  /** Where the lines begin that came later than a time. */
  offsetAfter(at: number): number {
    return this.#marks.findLast((mark) => mark.at <= at)?.offset ?? 0;
  }

  /** The first mark at or behind an offset. */
  #indexOf(end: number): number {
    let low = 0;
    let high = this.#marks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#marks[middle]?.offset ?? 0) < end) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The times of a log from an offset on. What is missing or damaged is not known; it is no failure. */
export async function readTimes(log: string, stats: Stats, from: number): Promise<Times> {
  const marks = await readMarks(timesPath(log), from);
  const last = marks.at(-1);
  const now = markAfter(last, markOf(stats, { isFirst: last === undefined }));
  if (now.offset > (last?.offset ?? 0)) marks.push(now);
  return new Times(marks, Math.floor(stats.mtimeMs));
}

const blockBytes = 64 * 1024;

async function readMarks(path: string, from: number): Promise<TimeMark[]> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    let text = "";
    for (let start = size; start > 0; ) {
      const length = Math.min(blockBytes, start);
      start -= length;
      text = (await textAt(file, start, length)) + text;
      // Unless it is all of it, the first line may be the end of one.
      const marks = parseMarks(start === 0 ? text : text.slice(text.indexOf("\n") + 1));
      if (start === 0 || (marks[0] && marks[0].offset <= from)) return marks;
    }
    return [];
  } catch (error) {
    if (isSystemError(error)) return [];
    throw error;
  }
}

async function textAt(file: FileHandle, start: number, length: number): Promise<string> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, start);
  return buffer.toString("latin1", 0, bytesRead);
}
