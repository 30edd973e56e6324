import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { LogLine } from "../app/reports.ts";
import { isSystemError } from "../errors.ts";
import { namesIn } from "../lib/directory.ts";
import type { Line } from "./lines.ts";
import { type LogName, parseLogName } from "./names.ts";
import { tail } from "./tail.ts";
import { readTimes } from "./times.ts";

/** One log of an app, and what its name says. */
export type AppLog = LogName & { name: string; path: string };

/** A line, where its log goes on behind it, and the time by which it is put in order. */
export type TimedLine = { line: LogLine; name: string; end: number; order: number };

/** The logs of a directory in the order in which their instances were started, standard output first. */
export async function logsIn(directory: string, isWanted: (log: LogName) => boolean): Promise<AppLog[]> {
  return (await namesIn(directory))
    .flatMap((name) => {
      const parsed = parseLogName(name);
      return parsed && isWanted(parsed) ? [{ ...parsed, name, path: join(directory, name) }] : [];
    })
    .sort((a, b) => a.stamp.localeCompare(b.stamp) || b.stream.localeCompare(a.stream));
}

export function toLogLine({ instance, release, stream }: LogName, text: string, at: number | null): LogLine {
  return { instance, release, stream, text, ...(at === null ? {} : { at: new Date(at).toISOString() }) };
}

/** The end of a log: its last lines with their times, and what it has no newline for yet. */
export type TimedTail = { lines: TimedLine[]; unfinished: TimedLine | null; end: number };

export async function timedTail(log: AppLog, count: number): Promise<TimedTail> {
  const { lines, unfinished, end } = await tail(log.path, count);
  const stats = await statIfThere(log.path);
  if (stats === null) return { lines: [], unfinished: null, end: 0 };
  const times = await readTimes(log.path, stats, lines[0]?.end ?? end);
  const timed = (line: Line): TimedLine => ({
    line: toLogLine(log, line.text, times.at(line.end)),
    name: log.name,
    end: line.end,
    order: times.orderOf(line.end),
  });
  return { lines: lines.map(timed), unfinished: unfinished && timed(unfinished), end };
}

/**
 * The last lines of several logs, in the order of time; of one log always in its own. Never more of them in memory
 * than twice as many as are asked for.
 */
export async function recentLines(logs: readonly AppLog[], count: number): Promise<TimedLine[]> {
  let recent: TimedLine[] = [];
  // The newest first: most of what is older need not be read.
  for (const log of [...logs].reverse()) {
    const oldest = recent.length === count ? recent[0] : undefined;
    const stats = await statIfThere(log.path);
    if (stats === null || count === 0 || (oldest && stats.mtimeMs < oldest.order)) continue;
    const { lines, unfinished } = await timedTail(log, count);
    recent = merge(unfinished ? [...lines, unfinished] : lines, recent).slice(-count);
  }
  return recent;
}

/** Stable: of the same moment, the lines of the first come first. */
export const merge = (first: readonly TimedLine[], second: readonly TimedLine[]): TimedLine[] =>
  [...first, ...second].sort((a, b) => a.order - b.order);

export async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return null;
    throw error;
  }
}
