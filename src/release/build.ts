import { chmodSync, chownSync, linkSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { isSystemError } from "../errors.ts";
import type { Content } from "./content.ts";
import type { Modes } from "./modes.ts";
import type { Entry, FileEntry, SourceEntry, SourceFile } from "./tree.ts";
import type { SourceTree } from "./walk.ts";

/** An earlier release, whose files a new one may share. */
export type Base = {
  number: number;
  directory: string;
  entries: readonly Entry[];
  files: ReadonlyMap<string, FileEntry>;
};

export type BuildRequest = { source: SourceTree; content: Content; base: Base | null; modes: Modes };

/**
 * Makes the tree of a release in a directory that is not there yet, and answers what is in it. A file that is in
 * `base` is hard-linked from there; every other one is a copy, so no inode is shared with the source.
 */
export async function buildTree(
  directory: string,
  { source, content, base, modes }: BuildRequest,
): Promise<Entry[]> {
  makeDirectory(directory, modes);
  const entries: Entry[] = [];
  for (const entry of source.entries) {
    entries.push(await placeEntry(directory, entry, { content, base, modes }));
    if (content.pace.isDue()) await content.pace.rest();
  }
  return entries;
}

/** Puts one entry where nothing is yet, and answers what it put there. */
export async function placeEntry(
  directory: string,
  entry: SourceEntry,
  request: Omit<BuildRequest, "source">,
): Promise<Entry> {
  const to = join(directory, entry.path);
  if (entry.kind === "file") return placeFile(entry, to, request);
  if (entry.kind === "directory") makeDirectory(to, request.modes);
  else symlinkSync(entry.target, to);
  return entry;
}

async function placeFile(
  file: SourceFile,
  to: string,
  { content, base, modes }: Omit<BuildRequest, "source">,
): Promise<FileEntry> {
  const same = base?.files.get(file.path);
  if (base && same && isSame(file, same) && tryLink(join(base.directory, file.path), to)) return same;
  const { digest, size } = await content.copy(file, to, modes);
  file.digest = digest;
  return { kind: "file", path: file.path, executable: file.executable, size, digest };
}

const isSame = (file: SourceFile, other: FileEntry) =>
  file.digest === other.digest && file.executable === other.executable;

/** False when the file is gone there, has as many names as it can have, or the file system knows no hard links. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT", "EMLINK", "EXDEV", "EPERM", "ENOTSUP")) return false;
    throw error;
  }
}

export function makeDirectory(path: string, { directory, gid }: Modes): void {
  mkdirSync(path);
  if (gid !== null) chownSync(path, -1, gid);
  // After mkdir(2), because the umask takes bits away there.
  chmodSync(path, directory);
}
