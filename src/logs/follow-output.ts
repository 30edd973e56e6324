import { basename, dirname } from "node:path";
import { follow } from "./follow.ts";
import { type Line, LineSplitter } from "./lines.ts";
import { LogFile } from "./log-file.ts";
import { tail } from "./tail.ts";

/**
 * Gives each line that is written to some logs of one directory while `writing` goes on; when it has settled, the rest,
 * a last line without a newline included, and then resolves.
 */
export async function followOutput(
  paths: readonly string[],
  onLine: (text: string) => void,
  writing: Promise<unknown>,
): Promise<void> {
  const [first] = paths;
  if (first === undefined) return;
  const ends = new Map(paths.map((path) => [basename(path), 0]));
  const stopped = new AbortController();
  const following = follow(dirname(first), {
    from: (name) => ends.get(name) ?? null,
    onLine(name, { text, end }) {
      ends.set(name, end);
      onLine(text);
    },
    signal: stopped.signal,
  });
  try {
    // Its end before that of the writing is its failure.
    await Promise.race([writing.catch(() => {}), following]);
  } finally {
    stopped.abort();
    await following;
  }
  for (const path of paths) await giveRest(path, ends.get(basename(path)) ?? 0, ({ text }) => onLine(text));
}

async function giveRest(path: string, from: number, onLine: (line: Line) => void): Promise<void> {
  const lines = new LineSplitter(onLine);
  const found = await LogFile.open(path);
  if (found === null) return;
  await using log = found;
  for (let position = from; ; ) {
    const { pieces, end } = await log.read(position, 64 * 1024);
    if (end === position) break;
    position = end;
    for (const piece of pieces) lines.push(piece);
  }
  const { unfinished } = await tail(path, 0);
  if (unfinished) onLine(unfinished);
}
