import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { namesIn } from "./directory.ts";

/**
 * Replaces a file so that a reader, also after a power cut, finds the old content or the new, never half:
 * a temporary file beside it, fsync(2), rename(2), fsync of the directory.
 */
export async function writeAtomic(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  await replace(path, content, mode, (file) => file.sync());
  await syncDirectory(dirname(path));
}

/** As `writeAtomic`, for what need not survive a power cut: a reader still finds all of it or what was there before. */
export async function writeWhole(path: string, content: string, mode = 0o600): Promise<void> {
  await replace(path, content, mode, async () => {});
}

async function replace(
  path: string,
  content: string | Uint8Array,
  mode: number,
  settle: (file: FileHandle) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await using file = await open(temporary, "wx", mode);
    await file.writeFile(content);
    await settle(file);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Removes what a process that was killed had not finished writing in a directory. */
export async function removeTemporary(directory: string): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (name.endsWith(".tmp")) await rm(join(directory, name), { force: true });
  }
}

/** Makes renames and removals in a directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, "r");
  await handle.sync();
}
