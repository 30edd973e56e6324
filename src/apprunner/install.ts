import { access, chmod, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../errors.ts";

/** Things that are put in place whole, once, for every user of the machine to read. */

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false; // not there, or not for us: then putting it there says why
  }
}

/** Gives a tree the modes 0755 and 0644, whatever our umask is. */
export async function makeReadable(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}

/** Renames a finished directory to its place; when somebody else was quicker, theirs is as good. */
export async function moveInto(fresh: string, target: string): Promise<void> {
  try {
    await rename(fresh, target);
  } catch (error) {
    if (!isSystemError(error, "ENOTEMPTY", "EEXIST")) throw error;
  }
}
