import { readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { isSystemError } from "../../errors.ts";
import type { Entry } from "../tree.ts";

/*
 * What becomes superfluous once something is compiled is the same for the same dependencies. A package manager takes a
 * second or two to say so: it is asked once.
 */

/** What a piece of work takes away from a tree: paths. */
export async function removedBy(directory: string, work: () => Promise<void>): Promise<string[]> {
  const before = pathsIn(directory);
  await work();
  const after = new Set(pathsIn(directory));
  return before.filter((path) => !after.has(path));
}

/** With types, since without them symlinks to directories are followed. */
const pathsIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true }).map(({ parentPath, name }) =>
    relative(directory, join(parentPath, name)),
  );

/** Takes the same away again, from a tree that nobody else can write to. Answers what is left of it. */
export function removeAgain(
  directory: string,
  entries: readonly Entry[],
  removed: readonly string[],
): Entry[] {
  const superfluous = new Set(removed);
  const gone = new Set<string>();
  for (const { kind, path } of entries.toReversed()) {
    if (superfluous.has(path) && remove(join(directory, path), kind)) gone.add(path);
  }
  return entries.filter(({ path }) => !gone.has(path));
}

/** False for a directory in which there is something else. */
function remove(path: string, kind: Entry["kind"]): boolean {
  try {
    if (kind === "directory") rmdirSync(path);
    else unlinkSync(path);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOTEMPTY")) return false;
    throw error;
  }
}
