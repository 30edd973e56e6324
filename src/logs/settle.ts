import { type FileHandle, open, rm, truncate } from "node:fs/promises";
import { punch } from "./cut.ts";
import { sideFilesOf } from "./names.ts";
import { blockBytes, isHole, type Part, partsOf, wholeBlocks } from "./parts.ts";

/**
 * Brings a log and its parts in line with each other, whatever was half-done: an earlier keeper may have been killed
 * between any two steps, the app may have begun its log anew, somebody may have edited a part. Null when the app
 * began it anew: then the parts are of a log that is no more, and are gone.
 */
export async function settle(log: string): Promise<Part[] | null> {
  for (const path of await sideFilesOf(log)) if (path.endsWith(".tmp")) await rm(path, { force: true });
  const parts = await partsOf(log);
  const [first] = parts;
  const last = parts.at(-1);
  if (!first || !last) return [];
  await using live = await open(log, "r");
  if (await wasBegunAnew(live, first, last)) {
    for (const { path } of parts) await rm(path, { force: true });
    return null;
  }
  const { end, isPunched } = await agreement(live, last);
  if (end < last.end) await truncate(last.path, end - last.start);
  if (!isPunched) await punch(log, wholeBlocks(end));
  return [...parts.slice(0, -1), { ...last, end }];
}

/**
 * A log with parts begins with a hole, or, before the first one was punched, as its first part does. One that was
 * begun anew begins with what its app wrote then, or, if that was at the moment of a punch, ends before its last part.
 */
async function wasBegunAnew(live: FileHandle, first: Part, last: Part): Promise<boolean> {
  if ((await live.stat()).size < last.start) return true;
  const begin = await readAt(live, 0, blockBytes);
  if (begin.length > 0 && isHole(begin)) return false;
  if (first.start > 0 || begin.length === 0) return true;
  await using part = await open(first.path, "r");
  return !begin.equals(await readAt(part, 0, blockBytes));
}

const chunkBytes = 256 * blockBytes;

/**
 * Up to where a part holds what the log held: each block of the log is a hole by now, or the same. `isPunched`: all
 * of them are holes.
 */
async function agreement(
  live: FileHandle,
  { path, start, end }: Part,
): Promise<{ end: number; isPunched: boolean }> {
  await using part = await open(path, "r");
  let isPunched = true;
  for (let at = start; at < end; at += chunkBytes) {
    const length = Math.min(chunkBytes, end - at);
    const ours = await readAt(part, at - start, length);
    const theirs = await readAt(live, at, length);
    for (let offset = 0; offset < length; offset += blockBytes) {
      const block = theirs.subarray(offset, offset + blockBytes);
      if (block.length > 0 && isHole(block)) continue;
      if (!block.equals(ours.subarray(offset, offset + blockBytes)) || block.length === 0) {
        return { end: at + offset, isPunched };
      }
      isPunched = false;
    }
  }
  return { end, isPunched };
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}
