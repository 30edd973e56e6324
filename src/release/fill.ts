import { chmodSync, chownSync, constants, copyFileSync, linkSync, mkdirSync, symlinkSync } from "node:fs";
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

export type FillRequest = {
  source: SourceTree;
  content: Content;
  base: Base | null;
  modes: Modes;
  /** Files of `base` by second names; else, where they are going to be written, as copies. */
  shared: boolean;
  /** What is there already, by path. */
  there: ReadonlyMap<string, Entry>;
};

/**
 * Puts into the tree of a release what the source has and is not there yet, and answers what is in it then. A file that
 * is in `base` is hard-linked from there; every other one is a copy, so no inode is shared with the source.
 */
export async function fillTree(directory: string, request: FillRequest): Promise<Entry[]> {
  const { source, content, there } = request;
  const entries: Entry[] = [];
  for (const entry of source.entries) {
    entries.push(there.get(entry.path) ?? (await placeEntry(directory, entry, request)));
    if (content.pace.isDue()) await content.pace.rest();
  }
  return entries;
}

/** Puts one entry where nothing is yet, and answers what it put there. */
async function placeEntry(directory: string, entry: SourceEntry, request: FillRequest): Promise<Entry> {
  const to = join(directory, entry.path);
  if (entry.kind === "file") return placeFile(entry, to, request);
  if (entry.kind === "directory") makeDirectory(to, request.modes);
  else symlinkSync(entry.target, to);
  return entry;
}

async function placeFile(
  file: SourceFile,
  to: string,
  { content, base, modes, shared }: FillRequest,
): Promise<FileEntry> {
  const same = base?.files.get(file.path);
  if (base && same && isSame(file, same) && tryPlace(join(base.directory, file.path), to, shared))
    return same;
  const { digest, size } = await content.copy(file, to, modes);
  file.digest = digest;
  return { kind: "file", path: file.path, executable: file.executable, size, digest };
}

const isSame = (file: SourceFile, other: FileEntry) =>
  file.digest === other.digest && file.executable === other.executable;

/**
 * A second name for a file, or a copy of it. False when it is gone there, has as many names as it can have, or the file
 * system knows no hard links.
 */
export function tryPlace(from: string, to: string, shared: boolean): boolean {
  try {
    if (shared) linkSync(from, to);
    else copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
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
