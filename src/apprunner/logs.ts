import { type FileHandle, open } from "node:fs/promises";
import { isSystemError } from "../errors.ts";
import { LineSplitter, toText } from "./lines.ts";

export { type FollowOptions, follow } from "./follow.ts";

export type Tail = {
  /** The last complete lines, oldest first. */
  lines: string[];
  /** What was written since the last newline; null when that is nothing. */
  unfinished: string | null;
  /** The offset behind the last newline: where `follow` goes on without a gap. */
  end: number;
};

const blockBytes = 64 * 1024;
/** No more than this is read back: a file without newlines must not be read whole. */
const mostBytes = 4 * 1024 * 1024;

/** The last lines of a log, read from its end. Empty when there is no such file. */
export async function tail(path: string, count: number): Promise<Tail> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return { lines: [], unfinished: null, end: 0 };
    throw error;
  }
  await using log = file;
  const { size } = await log.stat();
  const bytes = await readBack(log, size, count);
  const behindLast = bytes.lastIndexOf(newline) + 1;
  const rest = bytes.subarray(behindLast);
  const lines: string[] = [];
  new LineSplitter((line) => lines.push(line)).push(bytes.subarray(0, behindLast));
  return {
    lines: count > 0 ? lines.slice(-count) : [],
    unfinished: rest.length > 0 ? toText(rest) : null,
    end: size - rest.length,
  };
}

const newline = 0x0a;

/** The end of a file that holds `count` lines and what follows them: begins after a newline, or where the file does. */
async function readBack(log: FileHandle, size: number, count: number): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  let from = size;
  while (from > 0 && bytes.length < mostBytes) {
    const block = Buffer.alloc(Math.min(blockBytes, from));
    from -= block.length;
    const { bytesRead } = await log.read(block, 0, block.length, from);
    bytes = Buffer.concat([block.subarray(0, bytesRead), bytes]);
    const start = startOfLast(bytes, count);
    if (start !== null) return bytes.subarray(start);
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
    .slice(-count);
}
