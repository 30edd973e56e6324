import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { LaunchSpec } from "../app/instance.ts";
import type { LogLine } from "../app/reports.ts";
import { followApp } from "./follow-app.ts";
import { followOutput } from "./follow-output.ts";
import { logsIn, recentLines } from "./history.ts";
import { type LogName, sideFilesOf } from "./names.ts";
import { lastLines } from "./tail.ts";

type Output = LaunchSpec["output"];
type Request = { app: string; lines: number; processType?: string | undefined; after?: readonly string[] };

/** How many ended instances of an app keep their output. */
const keptInstances = 10;

/** The output of the apps of a home: one directory an app, see names.ts. */
export class AppLogs {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** Where an instance writes; `file` is unique among all instances of the app: "web.1.v3.m5x2k9ab". */
  outputOf(app: string, file: string): Output {
    const directory = this.#directory(app);
    return { stdout: join(directory, `${file}.out.log`), stderr: join(directory, `${file}.err.log`) };
  }

  /** The last lines of an app's instances, in the order of time. */
  async recent({ app, lines, processType }: Request): Promise<LogLine[]> {
    const logs = await logsIn(this.#directory(app), ofType(processType));
    return (await recentLines(logs, lines)).map(({ line }) => line);
  }

  /** The last lines, then every line that comes, of instances that start later too, until the signal. */
  async follow(
    { app, lines, processType, after = [] }: Request,
    onLine: (line: LogLine) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const directory = this.#directory(app);
    await followApp({ directory, isWanted: ofType(processType), lines, after }, onLine, signal);
  }

  /** Each line that an instance writes, as it comes; resolves when it has ended and all was told. */
  followOutput(
    { stdout, stderr }: Output,
    onLine: (text: string) => void,
    ended: Promise<unknown>,
  ): Promise<void> {
    return followOutput([stdout, stderr], onLine, ended);
  }

  lastLines({ stdout, stderr }: Output, count: number): Promise<string[]> {
    return lastLines([stdout, stderr], count);
  }

  /** Removes the output of instances that ended long ago. */
  async sweep(app: string, living: Iterable<Output>): Promise<void> {
    const used = new Set([...living].flatMap(({ stdout, stderr }) => [stdout, stderr]));
    const ended = (await logsIn(this.#directory(app), () => true)).filter(({ path }) => !used.has(path));
    const stamps = [...new Set(ended.map(({ stamp }) => stamp))];
    const old = new Set(stamps.slice(0, Math.max(0, stamps.length - keptInstances)));
    for (const { path, stamp } of ended) {
      if (!old.has(stamp)) continue;
      // The log last: while it is there, what is left beside it is still known to be of it.
      for (const file of [...(await sideFilesOf(path)), path]) await rm(file, { force: true });
    }
  }

  #directory(app: string): string {
    return join(this.#home, "apps", app, "logs");
  }
}

/** "web" is the type of "web.1". */
const ofType =
  (processType: string | undefined) =>
  ({ instance }: LogName): boolean =>
    processType === undefined || instance.startsWith(`${processType}.`);
