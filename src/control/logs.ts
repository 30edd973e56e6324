import { watch } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { LogLine } from "../app/reports.ts";
import { namesIn } from "../lib/directory.ts";
import type { Controller } from "./controller.ts";

/** One output file of one instance: apps/APP/logs/web.1.v3.STAMP.out.log */
type LogFile = Pick<LogLine, "instance" | "release" | "stream"> & { path: string; stamp: string };

const fileName = /^(?<instance>.+)\.v(?<release>\d+)\.(?<stamp>[0-9a-z]+)\.(?<stream>out|err)\.log$/;
/** How many ended instances of an app keep their output. */
const keptInstances = 10;

export type LogRequest = { app: string; lines: number; processType?: string | undefined };

/** The last lines of an app's instances, older instances first. */
export async function recentLines(controller: Controller, request: LogRequest): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for (const file of (await logFiles(controller, request)).reverse()) {
    if (lines.length >= request.lines) break;
    const { lines: tail, unfinished } = await controller.runner.tail(file.path, request.lines);
    const texts = unfinished === null ? tail : [...tail, unfinished];
    lines.unshift(...texts.map((text) => line(file, text)));
  }
  return lines.slice(-request.lines);
}

/** The last lines, then every line that comes, of instances that start later too, until the signal. */
export async function followLines(
  controller: Controller,
  request: LogRequest,
  onLine: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const following = new Set<string>();
  const followFile = async (file: LogFile, from: number): Promise<void> => {
    following.add(file.path);
    const tell = (text: string) => onLine({ ...line(file, text), at: new Date().toISOString() });
    await controller.runner.follow(file.path, { from, signal, onLine: tell });
  };
  const files = await logFiles(controller, request);
  const recent: LogLine[] = [];
  const followed: Promise<void>[] = [];
  for (const file of files) {
    const { lines, end } = await controller.runner.tail(file.path, request.lines);
    recent.push(...lines.map((text) => line(file, text)));
    followed.push(followFile(file, end));
  }
  for (const known of recent.slice(-request.lines)) onLine(known);
  const watcher = watch(logDirectory(controller, request.app), { signal }, async () => {
    for (const file of await logFiles(controller, request)) {
      if (!following.has(file.path)) followed.push(followFile(file, 0));
    }
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  watcher.once("close", resolve);
  await promise;
  await Promise.all(followed);
}

/** Removes the output of instances that ended long ago. */
export async function sweepLogs(controller: Controller, app: string): Promise<void> {
  const living = new Set(
    [...controller.runtime(app).living].flatMap(({ output }) => [output.stdout, output.stderr]),
  );
  const ended = (await logFiles(controller, { app, lines: 0 })).filter(({ path }) => !living.has(path));
  const stamps = [...new Set(ended.map(({ stamp }) => stamp))].sort();
  const old = new Set(stamps.slice(0, Math.max(0, stamps.length - keptInstances)));
  for (const { path, stamp } of ended) if (old.has(stamp)) await rm(path, { force: true });
}

const logDirectory = (controller: Controller, app: string) =>
  join(controller.config.home, "apps", app, "logs");

const line = ({ instance, release, stream }: LogFile, text: string): LogLine => ({
  instance,
  release,
  stream,
  text,
});

/** The output files of an app in the order in which their instances were started. */
async function logFiles(controller: Controller, { app, processType }: LogRequest): Promise<LogFile[]> {
  const directory = logDirectory(controller, app);
  return (await namesIn(directory))
    .flatMap((name) => parseName(directory, name))
    .filter(({ instance }) => processType === undefined || instance.startsWith(`${processType}.`))
    .sort((a, b) => a.stamp.localeCompare(b.stamp) || b.stream.localeCompare(a.stream));
}

function parseName(directory: string, name: string): LogFile[] {
  const parts = fileName.exec(name)?.groups;
  if (!parts) return [];
  const { instance = "", release, stamp = "", stream } = parts;
  return [
    {
      instance,
      release: Number(release),
      stamp,
      stream: stream === "out" ? "stdout" : "stderr",
      path: join(directory, name),
    },
  ];
}
