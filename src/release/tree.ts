import { createHash } from "node:crypto";

/** A regular file. Of its mode only the executable bit matters. `digest`: SHA-256 of its content, in hex. */
export type FileEntry = { kind: "file"; path: string; executable: boolean; size: number; digest: string };
export type DirectoryEntry = { kind: "directory"; path: string };
export type LinkEntry = { kind: "link"; path: string; target: string };

/** What a release consists of. Paths are relative, with `/`. */
export type Entry = FileEntry | DirectoryEntry | LinkEntry;

/** Which state of a file a digest was computed of: two equal ones have the same content, once it is settled. */
export type SourceIdentity = { ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint };

/** A file as it was found in `incoming/`; the digest is null until its content was read. */
export type SourceFile = Omit<FileEntry, "digest"> & { digest: string | null; identity: SourceIdentity };
export type SourceEntry = SourceFile | DirectoryEntry | LinkEntry;
/** A file whose content was read. */
export type ReadFile = SourceFile & { digest: string };

export const isFile = (entry: SourceEntry): entry is SourceFile => entry.kind === "file";

export function isRead(entry: SourceEntry): entry is ReadFile | DirectoryEntry | LinkEntry {
  return entry.kind !== "file" || entry.digest !== null;
}

/** The order of a tree: parents before what is in them, the same on every machine. */
export function byPath(one: { path: string }, other: { path: string }): number {
  return one.path < other.path ? -1 : one.path > other.path ? 1 : 0;
}

/** SHA-256 over kind, path, executable bit and content of all entries; times and owners do not count. */
export function checksumOf(entries: readonly Entry[]): string {
  const hash = createHash("sha256");
  for (const entry of entries) hash.update(`${JSON.stringify(facts(entry))}\n`);
  return hash.digest("hex");
}

function facts(entry: Entry): readonly unknown[] {
  if (entry.kind === "file") return [entry.kind, entry.path, entry.executable, entry.digest];
  return entry.kind === "link" ? [entry.kind, entry.path, entry.target] : [entry.kind, entry.path];
}
