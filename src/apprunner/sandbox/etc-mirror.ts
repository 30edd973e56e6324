import {
  chmodSync,
  cpSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { basename, join } from "node:path";

/**
 * What of the machine's /etc is copied anew when it has changed: to mount it instead would cost each start 0.3 ms. With
 * the files and directories whose times tell that something is new.
 */
const mirrored = {
  alternatives: ["alternatives"],
  fonts: ["fonts", "fonts/conf.d"],
  "resolv.conf": ["resolv.conf"],
} as const;

/**
 * Brings up to date what changes with the machine while it runs; seen at once by the apps that run. Synchronous, since
 * an app may wait for it: 0.1 ms when nothing has changed.
 */
export function mirrorEtc(directory: string, etc = "/etc"): void {
  for (const [name, watched] of Object.entries(mirrored)) {
    const stamp = stampOf(watched.map((path) => join(etc, path)));
    if (stamp === null || linkOf(join(directory, name)) === copyName(name, stamp)) continue;
    replace(directory, name, { source: join(etc, name), stamp });
  }
}

/** Null: it is not there. */
function stampOf(paths: readonly string[]): string | null {
  const stats = paths.map((path) => statSync(path, { throwIfNoEntry: false }));
  if (stats[0] === undefined) return null;
  return stats.map((one) => (one ? `${one.ino}-${one.mtimeMs}` : "none")).join("-");
}

const copyName = (name: string, stamp: string) => `.${name}.${stamp}`;

/** In its place is a link to the copy, whose name says of what it is one. */
function replace(
  directory: string,
  name: string,
  { source, stamp }: { source: string; stamp: string },
): void {
  const before = linkOf(join(directory, name));
  const copy = join(directory, copyName(name, stamp));
  rmSync(copy, { recursive: true, force: true });
  cpSync(realpathSync(source), copy, { recursive: true, verbatimSymlinks: true });
  open(copy);
  // Earlier versions of Maestro have a directory here, to mount over.
  if (before === null) rmSync(join(directory, name), { recursive: true, force: true });
  put(directory, name, (path) => symlinkSync(basename(copy), path));
  if (before !== null) rmSync(join(directory, before), { recursive: true, force: true });
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** To everyone, whatever our umask is. Files keep the mode that they have. */
function open(path: string): void {
  if (!lstatSync(path).isDirectory()) return;
  chmodSync(path, 0o755);
  for (const name of readdirSync(path)) open(join(path, name));
}

/** Written aside and renamed: a reader finds the old or the new. */
export function put(directory: string, name: string, write: (path: string) => void): void {
  const aside = join(directory, `.${name}.new`);
  rmSync(aside, { force: true });
  write(aside);
  if (!lstatSync(aside).isSymbolicLink()) chmodSync(aside, 0o644);
  renameSync(aside, join(directory, name));
}
