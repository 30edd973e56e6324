import { type Line, LineSplitter, toText } from "./lines.ts";
import { LogFile } from "./log-file.ts";

export type Tail = {
  /** The last complete lines, oldest first. */
  lines: Line[];
  /** What was written since the last newline; null when that is nothing. */
  unfinished: Line | null;
  /** The offset behind the last newline: where `follow` goes on without a gap. */
  end: number;
};

const firstBytes = 64 * 1024;
/** No more than this is read back: a file without newlines must not be read whole. */
const mostBytes = 16 * 1024 * 1024;
const newline = 0x0a;

/** The last lines of a log, read from its end. Empty when there is no such file. */
export async function tail(path: string, count: number): Promise<Tail> {
  const found = await LogFile.open(path);
  if (found === null) return { lines: [], unfinished: null, end: 0 };
  await using log = found;
  const { size } = await log.stat();
  const bytes = await readBack(log, size, count);
  const behindLast = bytes.lastIndexOf(newline) + 1;
  const rest = bytes.subarray(behindLast);
  const lines: Line[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  splitter.push({ offset: size - bytes.length, bytes: bytes.subarray(0, behindLast) });
  return {
    lines: count > 0 ? lines.slice(-count) : [],
    unfinished: rest.length > 0 ? { text: toText(rest), end: size } : null,
    end: size - rest.length,
  };
}

/** The end of a log that holds `count` lines and what follows them: begins after a newline, or where the log does. */
async function readBack(log: LogFile, size: number, count: number): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  for (let from = size; from > 0 && bytes.length < mostBytes; ) {
    const length = Math.min(Math.max(firstBytes, bytes.length), from);
    const { pieces } = await log.read(from - length, length);
    const last = pieces.at(-1);
    // Shortened meanwhile, or older than what is kept: there is nothing more in front of these bytes.
    if (!last || last.offset + last.bytes.length !== from) return bytes;
    bytes = Buffer.concat([last.bytes, bytes]);
    const start = startOfLast(bytes, count);
    if (start !== null) return bytes.subarray(start);
    if (last.bytes.length < length) return bytes;
    from -= length;
  }
  return bytes;
}

/** Where the last `count` complete lines begin; null when that is not in these bytes. */
function startOfLast(bytes: Buffer, count: number): number | null {
  let at = bytes.lastIndexOf(newline);
  for (let left = count; left > 0 && at > 0; left -= 1) at = bytes.lastIndexOf(newline, at - 1);
  return at === -1 || (at === 0 && count > 0) ? null : at + 1;
}

/** The last lines of several logs, one log after the other: for an error that tells what an app said last. */
export async function lastLines(paths: readonly string[], count: number): Promise<string[]> {
  const tails = await Promise.all(paths.map((path) => tail(path, count)));
  return tails
    .flatMap(({ lines, unfinished }) => (unfinished === null ? lines : [...lines, unfinished].slice(-count)))
    .slice(-count)
    .map(({ text }) => text);
}
