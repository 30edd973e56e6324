import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  lchownSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  renameSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import type { AppUser } from "../../app/app.ts";
import { Content } from "../content.ts";
import { tryPlace } from "../fill.ts";
import { isSettled } from "../incoming-index.ts";
import type { Modes } from "../modes.ts";
import { Pace } from "../pace.ts";
import { byPath, type Entry, type FileEntry, type SourceIdentity } from "../tree.ts";
import { openBelow, pathOf, refuseName } from "../walk.ts";

/*
 * A release is Maestro's, and a build has to write to it: while its programs run all of the tree is the app's, and each
 * of its files a copy. What they have left as it was is then shared again with where it came from.
 */

/** A file as a build was given it. */
type GivenFile = { entry: FileEntry; identity: SourceIdentity };

/** The files that a build was given, by inode, and when that was over (Unix time, ms). */
export type Given = { files: ReadonlyMap<bigint, GivenFile>; atMs: number };

/** Files that nobody writes to, in an earlier release or in the cache, by the paths that they have in a tree. */
export type Originals = ReadonlyMap<string, FileEntry & { at: string }>;

/**
 * Makes a tree the app's, or leaves it Maestro's where that has no user of its own. The deepest first: until then nobody
 * else can change the way to it.
 */
export async function giveTree(
  root: string,
  entries: readonly Entry[],
  user: AppUser | null,
): Promise<Given> {
  const pace = new Pace();
  const files = new Map<bigint, GivenFile>();
  for (const entry of entries.toReversed()) {
    const path = join(root, entry.path);
    if (entry.kind === "file") unshare(path);
    if (user !== null) lchownSync(path, user.uid, user.gid);
    if (entry.kind === "file") {
      const identity = identityOf(lstatSync(path, { bigint: true }));
      files.set(identity.ino, { entry, identity });
    }
    if (pace.isDue()) await pace.rest();
  }
  if (user !== null) lchownSync(root, user.uid, user.gid);
  // bwrap(1) enters it as a root that has given up its rights. Who else could is kept out by the directory above.
  chmodSync(root, 0o751);
  return { files, atMs: Date.now() };
}

/**
 * Whoever can write to one name of a file writes to all of them. Some installations leave two names for a file; and no
 * mistake of ours shall reach another release.
 */
function unshare(path: string): void {
  if (lstatSync(path).nlink === 1) return;
  const copy = `${path}.maestro-copy`;
  copyFileSync(path, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  renameSync(copy, path);
}

const identityOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): SourceIdentity => ({
  ino,
  size,
  mtimeNs,
  ctimeNs,
});

/**
 * Makes all of a tree Maestro's again, and answers what is in it. A directory before what it holds: from then on nobody
 * else can put anything in the place of that. What is neither a file, a directory nor a symlink is removed. Files that
 * are the same as an original become one with it; null: not yet, there is more to be written.
 */
export async function takeTree(
  root: string,
  modes: Modes,
  given: Given,
  originals: Originals | null,
): Promise<Entry[]> {
  const content = new Content(root, new Pace());
  const entries: Entry[] = [];
  const waiting = [""];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const name of takeDirectory(root, path, modes)) {
      const itsPath = path === "" ? name : `${path}/${name}`;
      refuseName(itsPath, name);
      const entry = await takeEntry(root, itsPath, { modes, given, originals, content });
      if (entry === null) continue;
      entries.push(entry);
      if (entry.kind === "directory") waiting.push(itsPath);
      if (content.pace.isDue()) await content.pace.rest();
    }
  }
  return entries.sort(byPath);
}

const isRoot = () => process.getuid?.() === 0;

/** Answers the names of what is in it. */
function takeDirectory(root: string, path: string, modes: Modes): string[] {
  const fd = openBelow(root, path, constants.O_DIRECTORY);
  try {
    if (isRoot()) fchownSync(fd, 0, modes.gid ?? 0);
    fchmodSync(fd, modes.directory);
    return readdirSync(pathOf(fd));
  } finally {
    closeSync(fd);
  }
}

type Taking = { modes: Modes; given: Given; originals: Originals | null; content: Content };

async function takeEntry(root: string, path: string, taking: Taking): Promise<Entry | null> {
  const at = join(root, path);
  const stats = lstatSync(at, { bigint: true });
  if (stats.isDirectory()) return { kind: "directory", path };
  if (stats.isSymbolicLink()) {
    if (isRoot()) lchownSync(at, 0, 0);
    return { kind: "link", path, target: readlinkSync(at) };
  }
  if (stats.isFile()) return takeFile(at, path, stats, taking);
  unlinkSync(at);
  return null;
}

async function takeFile(
  at: string,
  path: string,
  stats: BigIntStats,
  { modes, given, originals, content }: Taking,
): Promise<FileEntry> {
  const executable = (stats.mode & 0o111n) !== 0n;
  if (isRoot()) lchownSync(at, 0, modes.gid ?? 0);
  chmodSync(at, executable ? modes.program : modes.file);
  const found = { path, executable, size: Number(stats.size) };
  const digest = unchanged(identityOf(stats), given)?.digest ?? (await content.digest(found));
  const original = originals?.get(path);
  if (original?.digest === digest && original.executable === executable) share(original.at, at);
  return { kind: "file", ...found, digest };
}

/** Null also for what may have been changed in the moment in which it was given. */
function unchanged(identity: SourceIdentity, { files, atMs }: Given): FileEntry | null {
  const file = files.get(identity.ino);
  const isSame =
    file?.identity.size === identity.size &&
    file.identity.mtimeNs === identity.mtimeNs &&
    file.identity.ctimeNs === identity.ctimeNs;
  return file && isSame && isSettled(identity, atMs) ? file.entry : null;
}

/** Puts a second name of a file in the place of a copy of it, where that can be. */
function share(original: string, copy: string): void {
  const fresh = `${copy}.maestro-shared`;
  if (tryPlace(original, fresh, true)) renameSync(fresh, copy);
}
