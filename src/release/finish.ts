import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { promisify } from "node:util";
import type { Release } from "../app/release.ts";
import { writeManifest } from "./manifest.ts";
import type { Places } from "./places.ts";
import { writeRecord } from "./records.ts";
import type { Entry } from "./tree.ts";

/** Makes a release last. Its record comes last: it is a release from then on. When this fails nothing is left of it. */
export async function store(
  places: Places,
  release: Release,
  entries: readonly Entry[],
  gid: number | null,
): Promise<void> {
  const { number } = release;
  try {
    await syncFileSystem(places.release(number));
    await writeManifest(places.manifest(number), gid, entries);
    await writeRecord(places, release);
  } catch (error) {
    await discard(places.release(number), places.manifest(number), places.record(number));
    throw error;
  }
}

/**
 * syncfs(2), of which Node knows nothing: one call writes out all that is new. An fsync(2) for each of thousands of
 * small files costs a commit of the journal each, minutes on a slow disk.
 */
async function syncFileSystem(path: string): Promise<void> {
  await promisify(execFile)("sync", ["-f", path]);
}

export async function discard(...paths: string[]): Promise<void> {
  try {
    for (const path of paths) await rm(path, { recursive: true, force: true });
  } catch {
    // The reason for which the release failed is what must be told. What is left has no record, so it is no release.
  }
}
