import type { LogLine } from "../app/reports.ts";
import { follow } from "./follow.ts";
import { type AppLog, logsIn, merge, statIfThere, type TimedLine, timedTail, toLogLine } from "./history.ts";
import { type LogName, parseLogName } from "./names.ts";
import { readTimes, type Times } from "./times.ts";

export type FollowRequest = {
  directory: string;
  isWanted(log: LogName): boolean;
  /** How many earlier lines come first. */
  lines: number;
  /** Cursors of lines that have been seen: goes on behind them instead. */
  after: readonly string[];
};

/** Where in a log the following begins. `times`: of the lines that were there before. */
type Begin = { offset: number; times: Times | null };

/** Lines that were there, then every line that comes, of instances that start later too, until the signal. */
export async function followApp(
  { directory, isWanted, lines, after }: FollowRequest,
  onLine: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const logs = await logsIn(directory, isWanted);
  const { begins, recent } = after.length > 0 ? await resume(logs, after) : await begin(logs, lines);
  for (const { line, name, end } of recent) onLine({ ...line, cursor: cursorOf(name, end) });
  await follow(directory, {
    signal,
    from(name) {
      const parsed = parseLogName(name);
      return parsed && isWanted(parsed) ? (begins.get(name)?.offset ?? 0) : null;
    },
    onLine(name, { text, end }) {
      const parsed = parseLogName(name);
      const at = begins.get(name)?.times?.at(end) ?? Date.now();
      if (parsed) onLine({ ...toLogLine(parsed, text, at), cursor: cursorOf(name, end) });
    },
  });
}

type Beginning = { begins: Map<string, Begin>; recent: TimedLine[] };

/** The last lines of all logs come first; what has no newline yet comes when it has. */
async function begin(logs: readonly AppLog[], count: number): Promise<Beginning> {
  const begins = new Map<string, Begin>();
  let recent: TimedLine[] = [];
  for (const log of logs) {
    const { lines, end } = await timedTail(log, count);
    begins.set(log.name, { offset: end, times: null });
    recent = count === 0 ? [] : merge(recent, lines).slice(-count);
  }
  return { begins, recent };
}

/** A cursor names a log and the offset behind a line. */
const cursorOf = (name: string, end: number): string => `${name}:${end}`;

const parseCursor = (cursor: string): [name: string, end: number] => {
  const colon = cursor.lastIndexOf(":");
  return [cursor.slice(0, colon), Number(cursor.slice(colon + 1))];
};

/** Times are not more exact than this, in ms. */
const precisionMs = 1000;

/**
 * Behind the lines that have been seen. In logs of which none has been seen, behind the time of the latest of them:
 * rather somewhat earlier, since nothing can come twice there.
 */
async function resume(logs: readonly AppLog[], after: readonly string[]): Promise<Beginning> {
  const seen = new Map(after.map(parseCursor));
  const begins = new Map<string, Begin>();
  let latest = 0;
  for (const log of logs) {
    const offset = seen.get(log.name);
    if (offset === undefined) continue;
    const times = await timesFrom(log, offset);
    begins.set(log.name, { offset, times });
    latest = Math.max(latest, times?.at(offset) ?? 0);
  }
  for (const log of logs) {
    if (seen.has(log.name)) continue;
    const times = await timesFrom(log, 0);
    begins.set(log.name, { offset: times?.offsetAfter(latest - precisionMs) ?? 0, times });
  }
  return { begins, recent: [] };
}

async function timesFrom({ path }: AppLog, offset: number): Promise<Times | null> {
  const stats = await statIfThere(path);
  return stats && readTimes(path, stats, offset);
}
