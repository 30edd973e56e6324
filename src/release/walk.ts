import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
} from "node:fs";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError, MaestroError } from "../errors.ts";
import { changedMeanwhile, refusal } from "./failures.ts";
import { refuseEscapes } from "./links.ts";
import type { Pace } from "./pace.ts";
import { byPath, type SourceEntry } from "./tree.ts";

/** A generous bound for an app with its packages; without one, a tree could fill the controller's memory. */
const mostEntries = 250_000;

/** What was found below `root` (a real path: no symlink in it). */
export type SourceTree = { root: string; entries: SourceEntry[]; readAtMs: number };

/**
 * Reads a directory tree as the code of a release. `.git` and what rsync was cut off in are left out, and so is an empty `webapp/` at the top,
 * which Maestro itself puts there (see incoming.ts).
 *
 * Throws `BAD_INPUT` that names what cannot be in a release: symlinks that are absolute or lead out of it,
 * devices, FIFOs, sockets, setuid and setgid files, names with control characters or not in UTF-8.
 * Throws a system error for what cannot be read.
 */
export async function walk(directory: string, pace: Pace): Promise<SourceTree> {
  const readAtMs = Date.now();
  const root = await realpath(directory);
  const entries: SourceEntry[] = [];
  const waiting = [""];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const found of readDirectory(root, path)) {
      entries.push(found);
      if (found.kind === "directory") waiting.push(found.path);
      if (pace.isDue()) await pace.rest();
    }
    if (entries.length > mostEntries) throw tooManyEntries();
  }
  const sent = withoutEmptyWebapp(entries).sort(byPath);
  refuseEscapes(sent);
  return { root, entries: sent, readAtMs };
}

/**
 * Opens what lies at a path below `root`, and nothing that a symlink in that path leads to, also when somebody
 * swaps a directory for a symlink at this moment: the kernel says where the descriptor really is (proc(5), fd).
 * The caller closes it.
 */
export function openBelow(root: string, path: string, flags = 0): number {
  const expected = path === "" ? root : join(root, path);
  let fd: number;
  try {
    // Non-blocking: a FIFO that took the file's place must not hang the controller.
    fd = openSync(expected, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | flags);
  } catch (error) {
    throw isSystemError(error, "ENOENT", "ENOTDIR", "ELOOP", "ENXIO") ? changedMeanwhile(path) : error;
  }
  if (readlinkSync(pathOf(fd)) === expected) return fd;
  closeSync(fd);
  throw changedMeanwhile(path);
}

/** A path that leads to an open file, whatever happens to its name. */
export const pathOf = (fd: number) => `/proc/self/fd/${fd}`;

function* readDirectory(root: string, path: string): Generator<SourceEntry> {
  const fd = openBelow(root, path, constants.O_DIRECTORY);
  try {
    for (const name of readdirSync(pathOf(fd))) {
      if (name === ".git" || name === partialDirectory) continue;
      const itsPath = path === "" ? name : `${path}/${name}`;
      refuseName(itsPath, name);
      // By its path: half the cost. Should it lead elsewhere by now, the content is still read from the right place.
      yield describe(join(root, itsPath), itsPath);
    }
  } finally {
    closeSync(fd);
  }
}

/** Where rsync keeps the part of a file that came before the connection was cut. */
const partialDirectory = ".maestro-partial";

function describe(location: string, path: string): SourceEntry {
  const stats = lstatOf(location, path);
  if (stats.isDirectory()) return { kind: "directory", path };
  if (stats.isSymbolicLink()) return { kind: "link", path, target: targetOf(location, path) };
  if (!stats.isFile()) throw refusal(path, "is not a file, a directory or a symlink");
  if ((stats.mode & 0o6000n) !== 0n) throw refusal(path, "is setuid or setgid");
  const { ino, size, mtimeNs, ctimeNs } = stats;
  const executable = (stats.mode & 0o111n) !== 0n;
  const identity = { ino, size, mtimeNs, ctimeNs };
  return { kind: "file", path, executable, size: Number(size), digest: null, identity };
}

function lstatOf(location: string, path: string): BigIntStats {
  const stats = lstatSync(location, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) throw changedMeanwhile(path);
  return stats;
}

/** rsync's `--munge-links`, which confines a deploy key, stores targets behind a prefix that leads nowhere. */
const munged = "/rsyncd-munged/";

function targetOf(location: string, path: string): string {
  try {
    const target = readlinkSync(location);
    return target.startsWith(munged) ? target.slice(munged.length) : target;
  } catch (error) {
    throw isSystemError(error, "ENOENT", "EINVAL") ? changedMeanwhile(path) : error;
  }
}

/** What is neither a name that people can type nor one that every file system has. */
export function refuseName(path: string, name: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\x00-\x1f\x7f]/.test(name)) throw refusal(path, "has control characters in its name");
  if (name.includes("\ufffd")) throw refusal(path, "has a name that is not UTF-8");
}

function withoutEmptyWebapp(entries: SourceEntry[]): SourceEntry[] {
  if (entries.some(({ path }) => path.startsWith("webapp/"))) return entries;
  return entries.filter(({ kind, path }) => kind !== "directory" || path !== "webapp");
}

const tooManyEntries = () =>
  new MaestroError("BAD_INPUT", `there are more than ${mostEntries} files and directories; leave out some`, {
    mostEntries,
  });
