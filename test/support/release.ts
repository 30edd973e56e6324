import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { createReleaseStore, type ReleaseStore } from "../../src/release/store.ts";

/** Paths with their content, a program's content, a symlink's target, or null for an empty directory. */
export type Tree = Record<string, string | { link: string } | { program: string } | null>;

/** A directory that is gone after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "maestro-release-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Writes files (text), programs, symlinks, and empty directories (null). */
export function writeTree(directory: string, tree: Tree): string {
  for (const [path, part] of Object.entries(tree)) {
    const to = join(directory, path);
    mkdirSync(part === null ? to : dirname(to), { recursive: true });
    if (typeof part === "string") writeFileSync(to, part);
    else if (part !== null && "link" in part) symlinkSync(part.link, to);
    else if (part !== null) {
      writeFileSync(to, part.program);
      chmodSync(to, 0o755);
    }
  }
  return directory;
}

/** Every path below a directory, sorted; directories with a slash behind. */
export function pathsIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .map(
      (entry) =>
        join(entry.parentPath, entry.name).slice(directory.length + 1) + (entry.isDirectory() ? "/" : ""),
    )
    .sort();
}

export const inodeOf = (path: string) => lstatSync(path).ino;
export const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8);

export type Shop = {
  home: string;
  store: ReleaseStore;
  incoming: string;
  /** Where release N of the app "demo" is, and files in it. */
  release(number: number, ...path: string[]): string;
  /** Makes a release of "demo" and answers its number. */
  make(latest: number | null, gid?: number | null): Promise<{ number: number; fresh: boolean }>;
};

/** A home with an app "demo" for which a tree was sent. */
export async function shopWith(
  tree: Tree,
  { gid = null, keep = 5 }: { gid?: number | null; keep?: number } = {},
) {
  const home = temporaryDirectory();
  const store = createReleaseStore({ home, keep, keepDays: 30 });
  const incoming = writeTree(await store.prepareIncoming("demo", gid), tree);
  let above = 0;
  const shop: Shop = {
    home,
    store,
    incoming,
    release: (number, ...path) => join(store.directory("demo", number), ...path),
    make: async (latest, itsGid = gid) => {
      const { release, fresh, stored } = await store.make({ app: "demo", gid: itsGid, latest, above });
      await stored;
      above = Math.max(above, release.number);
      return { number: release.number, fresh };
    },
  };
  return shop;
}

export const isRoot = process.getuid?.() === 0;

/** Puts a tmpfs on a directory until the test has ended; answers why not, when this machine does not let us. */
export function mountTmpfs(directory: string, options: string): string | null {
  if (!isRoot) return "only root can mount a file system";
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", directory], { stdio: "pipe" });
  } catch (error) {
    return `this machine mounts no tmpfs: ${(error as Error).message}`;
  }
  onTestFinished(() => void execFileSync("umount", [directory]));
  return null;
}
