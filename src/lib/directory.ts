import { readdir } from "node:fs/promises";
import { isSystemError } from "../errors.ts";

/** What is in a directory; nothing when there is none. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
