import { readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSystemError } from "../errors.ts";

/** In the directory of a file of which only a part came: rsync goes on with it the next time. No release shows it. */
const partialDirectory = ".maestro-partial";

/**
 * After a sending has ended: remembers, beside incoming/, that one was cut off; after the next one that was not, removes
 * the parts that nobody asked for again.
 */
export async function settleCutOff(incoming: string, isWhole: boolean): Promise<void> {
  const mark = join(dirname(incoming), "cut-off");
  if (!isWhole) return writeFile(mark, "");
  try {
    await rm(mark);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return;
    throw error;
  }
  for (const entry of await readdir(incoming, { recursive: true, withFileTypes: true })) {
    if (entry.name !== partialDirectory || !entry.isDirectory()) continue;
    await rm(join(entry.parentPath, entry.name), { recursive: true, force: true });
  }
}
