import { lstatSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { Etc } from "./etc.ts";

/** What an app is, inside: paths as it sees them. */
export type Inside = {
  /** The release: its working directory. */
  directory: string;
  node: string;
  staticServer: string;
  /** The directory that survives restarts; null for an app that has not asked for one. */
  storage: string | null;
  /** Where it puts what it needs for a moment, and its home. */
  tmp: string;
  /** Directories with programs besides the machine's, for a build. */
  tools: readonly string[];
};

/** What of the machine an app is shown, by the machine's paths. Each mount costs its start about 0.3 ms. */
export type Outside = Omit<Inside, "staticServer" | "tmp"> & {
  staticServer: string | null;
  etc: Etc;
  /** What a build may write to as its /tmp, and its directory with it; null: neither. */
  scratch: string | null;
};

export const inside = {
  directory: "/app",
  bin: "/runtime/bin",
  staticServer: "/runtime/static-server",
  storage: "/storage",
  tmp: "/tmp",
  tool: (index: number) => `/runtime/tools/${index}`,
} as const;

/** Sizes of what is kept in memory for an instance, bytes. It counts as the app's memory. */
const tmpBytes = 256 * 1024 * 1024;
const shmBytes = 64 * 1024 * 1024;

/**
 * The words of bwrap(1) for what an app sees: /usr and the few files of /etc that programs need, its release
 * read-only (of a build, to be written), its Node, and what is its own to write: /tmp, /dev/shm and its storage. Of /proc its own processes.
 */
export function view(outside: Outside): string[] {
  const { directory, node, staticServer, storage, etc, scratch, tools } = outside;
  return [
    ...["--ro-bind", "/usr", "/usr"],
    ...usrMerge,
    ...["--ro-bind", etc.directory, "/etc"],
    ...etc.over.flatMap(([from, to]) => ["--ro-bind-try", from, to]),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...["--perms", "1777", "--size", String(shmBytes), "--tmpfs", "/dev/shm"],
    ...(scratch === null
      ? ["--perms", "1777", "--size", String(tmpBytes), "--tmpfs", inside.tmp]
      : ["--bind", scratch, inside.tmp]),
    ...["--dir", "/var", "--symlink", inside.tmp, "/var/tmp"],
    ...["--perms", "0755", "--dir", "/runtime", "--ro-bind", dirname(node), inside.bin],
    ...(staticServer === null ? [] : ["--ro-bind", dirname(staticServer), inside.staticServer]),
    ...(tools.length === 0 ? [] : ["--perms", "0755", "--dir", "/runtime/tools"]),
    ...tools.flatMap((tool, index) => ["--ro-bind", tool, inside.tool(index)]),
    ...(storage === null ? [] : ["--bind", storage, inside.storage]),
    ...[scratch === null ? "--ro-bind" : "--bind", directory, inside.directory],
    // The rest is a memory file system of the sandbox's own: nothing is to be written there either.
    ...["--remount-ro", "/"],
  ];
}

/** /bin, /lib and the like: links into /usr on a merged system, directories on an older one. */
const usrMerge: readonly string[] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].flatMap(
  (path) => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return [];
    return stats.isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : ["--ro-bind", path, path];
  },
);
