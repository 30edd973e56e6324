import { mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { Content } from "../content.ts";
import { makeDirectory, tryPlace } from "../fill.ts";
import type { Modes } from "../modes.ts";
import { Pace } from "../pace.ts";
import type { Entry } from "../tree.ts";

/** Dependencies that were installed: their files, and where they are. */
export type Dependencies = { directory: string; entries: readonly Entry[] };

export type Placing = {
  /** By second names of the same files; else, where they are going to be written, as copies. */
  shared: boolean;
  /** What is there already, by path. */
  there?: ReadonlyMap<string, Entry>;
};

/** Puts installed dependencies into a tree, but for what is there already. */
export async function placeAll(
  { directory, entries }: Dependencies,
  to: string,
  modes: Modes,
  { shared, there }: Placing,
): Promise<void> {
  const content = new Content(directory, new Pace());
  for (const entry of entries) {
    if (there?.has(entry.path)) continue;
    const path = join(to, entry.path);
    mkdirSync(dirname(path), { recursive: true }); // What was sent has it, where that is not among these.
    if (entry.kind === "directory") makeDirectory(path, modes);
    else if (entry.kind === "link") symlinkSync(entry.target, path);
    else if (!tryPlace(join(directory, entry.path), path, shared)) await content.copy(entry, path, modes);
    if (content.pace.isDue()) await content.pace.rest();
  }
}
