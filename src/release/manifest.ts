import { readFile } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import type { Entry } from "./tree.ts";

const File = z.object({
  kind: z.literal("file"),
  path: z.string(),
  executable: z.boolean(),
  size: z.int().min(0),
  digest: z.string(),
});
const Directory = z.object({ kind: z.literal("directory"), path: z.string() });
const Link = z.object({ kind: z.literal("link"), path: z.string(), target: z.string() });

export const ManifestEntries = z.array(z.discriminatedUnion("kind", [File, Directory, Link]));

/** All that is in a release, in the order of a tree; and the group that its files belong to. */
const Manifest = z.object({
  v: z.literal(1),
  gid: z.int().nullable(),
  entries: ManifestEntries,
});
export type Manifest = z.infer<typeof Manifest>;

/** Null when there is none that can be read: then files are copied that might have been shared. */
export function readManifest(path: string): Promise<Manifest | null> {
  return readJson(path, Manifest);
}

export async function writeManifest(
  path: string,
  gid: number | null,
  entries: readonly Entry[],
): Promise<void> {
  const lines = entries.map((entry) => JSON.stringify(entry));
  await writeAtomic(path, `{"v":1,"gid":${gid},"entries":[\n${lines.join(",\n")}\n]}\n`);
}

/** A file of Maestro's own that it can do without: null when it is not there or was damaged. */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(path, "utf8")));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError || isSystemError(error, "ENOENT")) return null;
    throw error;
  }
}
