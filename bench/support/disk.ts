import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../../src/errors.ts";

/** What a directory takes of the disk: allocated blocks, of each file once however many names it has. */
export async function allocatedMiB(directory: string): Promise<number> {
  const blocks = new Map<string, number>();
  await add(directory, blocks);
  return (blocks.values().reduce((sum, count) => sum + count, 0) * blockBytes) / 1024 ** 2;
}

/** The unit of `st_blocks`, whatever the file system's own: see inode(7). */
const blockBytes = 512;

async function add(path: string, blocks: Map<string, number>): Promise<void> {
  const entry = await lstat(path).catch(nullIfGone);
  if (entry === null) return;
  blocks.set(`${entry.dev}:${entry.ino}`, entry.blocks);
  if (!entry.isDirectory()) return;
  for (const name of (await readdir(path).catch(nullIfGone)) ?? []) await add(join(path, name), blocks);
}

/** Maestro goes on while it is measured. */
function nullIfGone(error: unknown): null {
  if (isSystemError(error, "ENOENT")) return null;
  throw error;
}
