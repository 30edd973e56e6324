import { randomUUID } from "node:crypto";
import { linkSync, rmdirSync, symlinkSync, unlinkSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../errors.ts";
import { namesIn } from "../lib/directory.ts";
import { type Base, makeDirectory } from "./fill.ts";
import { readManifest } from "./manifest.ts";
import { modesFor } from "./modes.ts";
import { Pace } from "./pace.ts";
import type { Places } from "./places.ts";
import { releaseNumbers } from "./records.ts";
import type { Entry, SourceEntry } from "./tree.ts";

/*
 * Directories are what a release costs: each has to be made anew, however little has changed. So the tree of the next
 * release is made ahead, when nobody waits for it: the directories of the newest release, with its files linked into
 * them. Only what differs is then left to be done.
 */

const stagedName = (number: number) => `.staged-v${number}`;
const isStaged = (name: string) => /^\.staged-v\d+$/.test(name);

/** Makes the tree of the next release ahead. Does nothing when it is there, or there is nothing to begin with. */
export async function stage(places: Places): Promise<void> {
  const number = (await releaseNumbers(places)).at(-1);
  const names = (await namesIn(places.releases)).filter(isStaged);
  for (const name of names) {
    if (number === undefined || name !== stagedName(number)) await removeTree(join(places.releases, name));
  }
  if (number === undefined || names.includes(stagedName(number))) return;
  const manifest = await readManifest(places.manifest(number));
  if (manifest === null) return;
  const aside = join(places.releases, `.v${number + 1}.partial-${randomUUID()}`);
  try {
    await linkTree(places.release(number), aside, manifest.entries, manifest.gid);
    await rename(aside, join(places.releases, stagedName(number)));
  } catch (error) {
    await removeTree(aside);
    throw error;
  }
}

/** Takes the tree that was made ahead of the release after `number` to a path of its own; false when there is none. */
export async function takeStaged(places: Places, number: number, to: string): Promise<boolean> {
  try {
    await rename(join(places.releases, stagedName(number)), to);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}

/** Removes from a tree that holds what `base` does all that is not wanted so. Answers what stays, by path. */
export async function keepWanted(
  directory: string,
  base: Base,
  wanted: ReadonlyMap<string, SourceEntry | Entry>,
  pace: Pace,
): Promise<Map<string, Entry>> {
  const kept = new Map<string, Entry>();
  // What lies deepest comes first: a directory is empty when its turn comes.
  for (const entry of base.entries.toReversed()) {
    if (isSame(entry, wanted.get(entry.path))) kept.set(entry.path, entry);
    else remove(join(directory, entry.path), entry);
    if (pace.isDue()) await pace.rest();
  }
  return kept;
}

/** The tree of a release once more: directories of its own, and in them the same files. */
export async function linkTree(
  from: string,
  to: string,
  entries: readonly Entry[],
  gid: number | null,
): Promise<void> {
  const modes = modesFor(gid);
  const pace = new Pace();
  makeDirectory(to, modes);
  for (const entry of entries) {
    const path = join(to, entry.path);
    if (entry.kind === "directory") makeDirectory(path, modes);
    else if (entry.kind === "link") symlinkSync(entry.target, path);
    else linkSync(join(from, entry.path), path);
    if (pace.isDue()) await pace.rest();
  }
}

function isSame(entry: Entry, other: SourceEntry | Entry | undefined): boolean {
  if (entry.kind === "directory") return other?.kind === "directory";
  if (entry.kind === "link") return other?.kind === "link" && other.target === entry.target;
  return other?.kind === "file" && other.digest === entry.digest && other.executable === entry.executable;
}

function remove(path: string, { kind }: Entry): void {
  if (kind === "directory") rmdirSync(path);
  else unlinkSync(path);
}

const removeTree = (path: string) => rm(path, { recursive: true, force: true });
