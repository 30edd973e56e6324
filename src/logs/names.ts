import { basename, dirname, join } from "node:path";
import { namesIn } from "../lib/directory.ts";

/*
 * What lies in <home>/apps/APP/logs/: for each instance and stream a log, and beside it what was made of it:
 *
 *   web.1.v3.m5x2k9ab.out.log            the log: what the instance writes
 *   web.1.v3.m5x2k9ab.out.log.10485760   a part that was cut off from its beginning, by the offset of its first byte
 *   web.1.v3.m5x2k9ab.out.log.times      when what was there
 */

/** What the name of a log says. */
export type LogName = {
  /** "web.1" */
  instance: string;
  release: number;
  /** Sorts instances by their start. */
  stamp: string;
  stream: "stdout" | "stderr";
};

const logName = /^(?<instance>.+)\.v(?<release>\d+)\.(?<stamp>[0-9a-z]+)\.(?<stream>out|err)\.log$/;
const sideName = /^(?<log>.+\.(?:out|err)\.log)\.(?:times|\d{1,15})(?:\.tmp)?$/;

/** Null for a file that is not a log. */
export function parseLogName(name: string): LogName | null {
  const found = logName.exec(name)?.groups;
  if (!found) return null;
  const { instance = "", release, stamp = "", stream } = found;
  return { instance, release: Number(release), stamp, stream: stream === "out" ? "stdout" : "stderr" };
}

/** The log beside which a file lies; null when it lies beside none. */
export const logBeside = (name: string): string | null => sideName.exec(name)?.groups?.["log"] ?? null;

export const timesPath = (log: string): string => `${log}.times`;
export const partPath = (log: string, start: number): string => `${log}.${start}`;
/** Under this name a side file is written before it takes its place: what is found of it is half-done. */
export const temporaryPath = (path: string): string => `${path}.tmp`;

/** All that lies beside a log. */
export async function sideFilesOf(log: string): Promise<string[]> {
  const names = await namesIn(dirname(log));
  return names.filter((name) => logBeside(name) === basename(log)).map((name) => join(dirname(log), name));
}
