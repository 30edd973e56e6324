import { z } from "zod";
import { isSystemError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { readJson } from "./manifest.ts";
import { isFile, isRead, type SourceEntry, type SourceIdentity } from "./tree.ts";

/** Digests of the files in `incoming/`, by path, each with the state of the file that it was computed of. */
const IncomingIndex = z.object({
  v: z.literal(1),
  files: z.array(z.tuple([z.string(), z.string(), z.string()])),
});

/**
 * How much older than the reading a file's last change must be. Within one tick of the clock that stamps files, a
 * file can change twice and look the same (git calls it "racily clean"): Linux stamps by ticks of up to 10 ms, and
 * file systems that keep no fractions of a second by whole seconds (FAT: two).
 */
const tickMs = 100;
const coarseTickMs = 2500;

/** Whether a change after `readAtMs` (Unix time) must show in the identity of a file. */
export function isSettled({ ctimeNs }: Pick<SourceIdentity, "ctimeNs">, readAtMs: number): boolean {
  const margin = ctimeNs % 1_000_000_000n === 0n ? coarseTickMs : tickMs;
  return Number(ctimeNs / 1_000_000n) < readAtMs - margin;
}

/** Fills in the digest of every file that is in the state in which it was read before. */
export async function recallDigests(path: string, entries: readonly SourceEntry[]): Promise<void> {
  const index = await readJson(path, IncomingIndex);
  if (index === null) return;
  const known = new Map(index.files.map(([file, identity, digest]) => [file, { identity, digest }]));
  for (const file of entries.filter(isFile)) {
    const before = known.get(file.path);
    if (before?.identity === asText(file.identity)) file.digest = before.digest;
  }
}

/** Keeps the digests of the files that were settled when they were found. */
export async function rememberDigests(
  path: string,
  entries: readonly SourceEntry[],
  readAtMs: number,
): Promise<void> {
  const lines = entries.flatMap((entry) =>
    entry.kind === "file" && isRead(entry) && isSettled(entry.identity, readAtMs)
      ? [JSON.stringify([entry.path, asText(entry.identity), entry.digest])]
      : [],
  );
  try {
    await writeAtomic(path, `{"v":1,"files":[\n${lines.join(",\n")}\n]}\n`);
  } catch (error) {
    // Only a cache: without it the next release takes a little longer, so it must not be what fails this one.
    if (!isSystemError(error)) throw error;
  }
}

const asText = ({ ino, size, mtimeNs, ctimeNs }: SourceIdentity) => `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
