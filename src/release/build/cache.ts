import { randomUUID } from "node:crypto";
import { lstatSync } from "node:fs";
import { mkdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeAtomic, writeWhole } from "../../lib/atomic-file.ts";
import { namesIn } from "../../lib/directory.ts";
import { ManifestEntries, readJson } from "../manifest.ts";
import type { Modes } from "../modes.ts";
import type { Entry } from "../tree.ts";
import { type Dependencies, placeAll } from "./place.ts";

/** How many installations of an app are kept: of the branch before, and of the one to which somebody goes back. */
const kept = 3;

const Paths = z.array(z.string());
const Kept = z.object({ v: z.literal(1), gid: z.int().nullable(), entries: ManifestEntries });

/**
 * What was installed for an app, by the key of its recipe: `cache/KEY/tree`, and what is in it, which is written last.
 * Its files are Maestro's, and nobody writes to one again; releases and builds get them as links, so they take no room.
 */
export class DependencyCache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Null when it is not there, not whole, or another group's. */
  async find(key: string, gid: number | null): Promise<Dependencies | null> {
    const directory = join(this.#directory, key, "tree");
    const found = await readJson(this.#list(key), Kept);
    if (found === null || found.gid !== gid) return null;
    if (!found.entries.every((entry) => isWhole(directory, entry))) {
      await this.forget(key);
      return null;
    }
    const now = new Date();
    await utimes(this.#list(key), now, now); // The latest that was of use is the last to go.
    return { directory, entries: found.entries };
  }

  /** Keeps what was installed in a tree. `shared`: by links, where nothing can write to these files any more. */
  async keep(
    key: string,
    from: Dependencies,
    modes: Modes,
    { shared }: { shared: boolean },
  ): Promise<Dependencies | null> {
    const aside = join(this.#directory, `.partial-${randomUUID()}`);
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await mkdir(join(aside, "tree"), { recursive: true });
      await placeAll(from, join(aside, "tree"), modes, { shared });
      const list = { v: 1, gid: modes.gid, entries: from.entries };
      await writeAtomic(join(aside, "list.json"), JSON.stringify(list));
      await this.forget(key);
      await rename(aside, join(this.#directory, key));
      await this.#sweep();
      return { directory: join(this.#directory, key, "tree"), entries: from.entries };
    } catch (error) {
      // A cache that is not kept costs time and nothing else: the disk may be full, and then the release says so.
      if (!isSystemError(error)) throw error;
      return null;
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }

  /** What is superfluous of it once something was compiled; null when that is not known. */
  async superfluous(key: string): Promise<string[] | null> {
    return readJson(this.#superfluous(key), Paths);
  }

  /** Of what is not kept, nothing is. */
  async keepSuperfluous(key: string, paths: readonly string[]): Promise<void> {
    const isKept = (await namesIn(join(this.#directory, key))).length > 0;
    if (isKept) await writeWhole(this.#superfluous(key), JSON.stringify(paths));
  }

  async forget(key: string): Promise<void> {
    await rm(join(this.#directory, key), { recursive: true, force: true });
  }

  #list(key: string): string {
    return join(this.#directory, key, "list.json");
  }

  #superfluous(key: string): string {
    return join(this.#directory, key, "superfluous.json");
  }

  async #sweep(): Promise<void> {
    const ages: [key: string, usedMs: number][] = [];
    for (const key of await namesIn(this.#directory)) {
      const found = await stat(this.#list(key)).catch(() => null); // Not whole: it goes first.
      ages.push([key, found?.mtimeMs ?? 0]);
    }
    ages.sort(([, one], [, other]) => other - one);
    for (const [key] of ages.slice(kept)) await this.forget(key);
  }
}

function isWhole(directory: string, entry: Entry): boolean {
  const stats = lstatSync(join(directory, entry.path), { throwIfNoEntry: false });
  if (entry.kind === "directory") return stats?.isDirectory() === true;
  if (entry.kind === "link") return stats?.isSymbolicLink() === true;
  return stats?.isFile() === true && stats.size === entry.size;
}
