import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { isSystemError } from "../../errors.ts";
import { type Branch, Cgroups, type Power, type Powers, removeEmpty } from "./cgroups.ts";
import { groupsIn } from "./control-file.ts";
import { controllersOf, handOn, stemOf } from "./delegation.ts";
import { type Hierarchy, ownHierarchies } from "./hierarchies.ts";
import type { Controller } from "./part.ts";

/** `cgroups`: null where no group can be made at all. */
export type Opened = { cgroups: Cgroups | null; powers: Powers };

/** By its files a group shows that the kernel really has a controller. */
const files = {
  1: {
    memory: "memory.limit_in_bytes",
    cpu: "cpu.cfs_quota_us",
    pids: "pids.max",
    freezer: "freezer.state",
    cpuacct: "cpuacct.usage",
  },
  2: {
    memory: "memory.max",
    cpu: "cpu.max",
    pids: "pids.max",
    freezer: "cgroup.freeze",
    cpuacct: "cpu.stat",
  },
} as const satisfies Record<Hierarchy["version"], Record<Controller, string>>;
const controllers = ["memory", "cpu", "pids", "freezer", "cpuacct"] as const satisfies Controller[];

/**
 * Finds out what control groups can do here, by making one, `maestro-ID`, in each hierarchy that is needed. Always below
 * the group in which this process is, so that what holds for Maestro holds for its apps. `id`: one for each home, 1 to 40
 * of a-z, 0-9 and "-". Never throws for what a machine cannot do: `powers` says why.
 *
 * Each controller comes from v2 where that has it, else from v1. May move Maestro into a group of its own (`handOn`), so
 * it comes before anything is started.
 */
export function openCgroups(id: string, hierarchies: readonly Hierarchy[] = ownHierarchies()): Opened {
  if (!/^[a-z0-9-]{1,40}$/.test(id)) throw new Error(`"${id}" cannot name control groups`);
  const obstacles = new Obstacles();
  const branches = [...branchesOf(hierarchies, `maestro-${id}`, obstacles)];
  const powers = powersOf(branches, obstacles);
  return { powers, cgroups: branches.length > 0 ? new Cgroups(powers, branches) : null };
}

/** Why a controller is not there; for each the first reason that was found. */
class Obstacles {
  readonly #found = new Map<Controller, string>();

  add(of: readonly Controller[], why: string): void {
    for (const controller of of) if (!this.#found.has(controller)) this.#found.set(controller, why);
  }

  get(controller: Controller): string {
    return this.#found.get(controller) ?? `no control groups with ${controller} are mounted`;
  }
}

function* branchesOf(
  hierarchies: readonly Hierarchy[],
  name: string,
  obstacles: Obstacles,
): Generator<Branch> {
  const missing = new Set<Controller>(controllers);
  for (const hierarchy of inOrder(hierarchies, name)) {
    const branch = openBranch(hierarchy, name, missing, obstacles);
    if (branch === null) continue;
    for (const controller of branch.controllers) missing.delete(controller);
    yield branch;
  }
}

/**
 * v2 first where it has controllers; where it has none, last: it can still freeze and kill, but joining it takes 5 ms,
 * and joining a freezer of v1 takes none.
 */
function inOrder(hierarchies: readonly Hierarchy[], name: string): Hierarchy[] {
  const first = ({ version, own }: Hierarchy) => version === 2 && controllersOf(stemOf(own, name)).length > 0;
  const last = (hierarchy: Hierarchy) => hierarchy.version === 2 && !first(hierarchy);
  const rank = (hierarchy: Hierarchy) => (first(hierarchy) ? 0 : last(hierarchy) ? 2 : 1);
  return hierarchies.toSorted((a, b) => rank(a) - rank(b));
}

/** Null where a hierarchy has nothing that is missing, or nothing can be made in it. */
function openBranch(
  hierarchy: Hierarchy,
  name: string,
  missing: ReadonlySet<Controller>,
  obstacles: Obstacles,
): Branch | null {
  const { version, mount } = hierarchy;
  const offered =
    version === 2 ? controllers : controllers.filter((one) => hierarchy.controllers.includes(one));
  const useful = offered.filter((controller) => missing.has(controller));
  if (useful.length === 0 || (version === 2 && !missing.has("freezer"))) return null;

  const stem = version === 2 ? stemOf(hierarchy.own, name) : hierarchy.own;
  const base = join(stem, name);
  const obstacle = made(base, stem);
  if (obstacle !== null) {
    obstacles.add(useful, obstacle);
    return null;
  }
  if (version === 2) handOnAll(stem, base, name, obstacles);
  const there = useful.filter((controller) => existsSync(join(base, files[version][controller])));
  const earlier = removeEmpty(basesOf(mount, name).filter((path) => path !== base));
  if (there.length > 0) return { version, controllers: new Set(there), base, earlier };
  obstacles.add(useful, `the kernel lacks ${useful.map((one) => files[version][one]).join(", ")}`);
  removeEmpty([base]);
  return null;
}

/** Null when a directory is there. */
function made(base: string, stem: string): string | null {
  try {
    mkdirSync(base, { recursive: true });
    return null;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return `Maestro may not make control groups below ${stem} (${error.code})`;
  }
}

/** From Maestro's group to the one that holds the instances, and from there to each of them. */
function handOnAll(stem: string, base: string, name: string, obstacles: Obstacles): void {
  for (const controller of controllersOf(stem)) {
    const obstacle = handOn(controller, stem, name) ?? handOn(controller, base, name);
    if (obstacle !== null) obstacles.add([controller], obstacle);
  }
}

/** A machine has hundreds of groups, seldom thousands; whoever makes more must not hold up a start. */
const mostGroups = 5000;

/** Where in a hierarchy this home has ever made groups. Others may have made some of that name; those are not ours. */
function basesOf(mount: string, name: string): string[] {
  const found: string[] = [];
  const queue = [mount];
  for (let at = 0; at < queue.length && at < mostGroups; at++) {
    const directory = queue[at] ?? mount;
    for (const child of groupsIn(directory)) {
      const path = join(directory, child);
      if (child !== name) queue.push(path);
      else if (statSync(path, { throwIfNoEntry: false })?.uid === process.geteuid?.()) found.push(path);
    }
  }
  return found;
}

function powersOf(branches: readonly Branch[], obstacles: Obstacles): Powers {
  const power = (controller: Controller): Power => {
    const branch = branches.find((one) => one.controllers.has(controller));
    return branch
      ? { available: true, by: `v${branch.version}` }
      : { available: false, why: obstacles.get(controller) };
  };
  const freeze = power("freezer");
  const [any] = branches;
  return {
    memory: power("memory"),
    cpu: power("cpu"),
    pids: power("pids"),
    freeze,
    // Without a freezer it takes some rounds; that a group is empty can be seen in any hierarchy.
    kill: freeze.available || any === undefined ? freeze : { available: true, by: `v${any.version}` },
  };
}
