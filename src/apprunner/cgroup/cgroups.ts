import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Limits } from "../../app/limits.ts";
import { isSystemError } from "../../errors.ts";
import { Cgroup } from "./cgroup.ts";
import { groupsIn, removeGroup } from "./control-file.ts";
import type { Part } from "./part.ts";

/** One hierarchy, with the directories in which groups of instances are. */
export type Branch = Omit<Part, "directory"> & {
  /** Below the group in which this Maestro is: here new ones are made. */
  base: string;
  /** Where earlier controllers, which ran in other groups, made theirs. */
  earlier: readonly string[];
};

/** What a person may be told about a power. `by`: the version of control groups that has it. */
export type Power = { available: true; by: "v1" | "v2" } | { available: false; why: string };
export type Powers = Readonly<Record<"memory" | "cpu" | "pids" | "freeze" | "kill", Power>>;

/** The control groups of the instances of one home. */
export class Cgroups {
  readonly powers: Powers;
  readonly #branches: readonly Branch[];

  constructor(powers: Powers, branches: readonly Branch[]) {
    this.powers = powers;
    this.#branches = branches;
  }

  /**
   * Makes the group of an instance. Synchronous, since the app waits for it: about 0.3 ms. Limits of which this machine
   * is not capable (`powers`) are passed over. Throws the errors of `Cgroup.limit`, and then leaves nothing behind.
   */
  create(key: string, limits: Limits): Cgroup {
    const parts = this.#branches.map((branch) => partIn(branch, branch.base, key));
    try {
      for (const { directory } of parts) makeGroup(directory);
      const group = new Cgroup(key, parts);
      group.limit(limits);
      return group;
    } catch (error) {
      for (const { directory } of parts) removeGroup(directory);
      throw error;
    }
  }

  /** The group of an instance that was made by this controller or an earlier one; null when there is none. */
  find(key: string): Cgroup | null {
    const parts = this.#branches.flatMap((branch) => {
      const places = [branch.base, ...branch.earlier].map((base) => partIn(branch, base, key));
      return places.filter(({ directory }) => isGroup(directory)).slice(0, 1);
    });
    return parts.length > 0 ? new Cgroup(key, parts) : null;
  }

  /** The keys of all groups that are there, whether something is in them or not. */
  list(): string[] {
    const names = this.#branches.flatMap(({ base, earlier }) => [base, ...earlier].flatMap(groupsIn));
    return [...new Set(names)].sort();
  }

  /** Removes what holds the groups, as far as they are all gone. For the end of all of Maestro. */
  remove(): void {
    for (const { base, earlier } of this.#branches) removeEmpty([base, ...earlier]);
  }
}

/** Of the directories that hold groups, those that do not. Gives back those that stay. */
export function removeEmpty(bases: readonly string[]): string[] {
  return bases.filter((base) => groupsIn(base).length > 0 || !removeGroup(base));
}

function partIn({ version, controllers }: Branch, base: string, key: string): Part {
  // A key is part of a path: it must not lead anywhere else.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(key))
    throw new Error(`"${key}" cannot be the name of a group`);
  return { version, controllers, directory: join(base, key) };
}

/** The name may be that of a control file, such as "memory.stat": that is no group. */
const isGroup = (directory: string) => existsSync(join(directory, "cgroup.procs"));

function makeGroup(directory: string): void {
  try {
    mkdirSync(directory);
  } catch (error) {
    if (!isSystemError(error, "EEXIST") || !isGroup(directory)) throw error;
  }
}
