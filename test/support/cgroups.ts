import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { noLimits } from "../../src/app/limits.ts";
import type { Cgroup } from "../../src/apprunner/cgroup/cgroup.ts";
import type { Cgroups, Powers } from "../../src/apprunner/cgroup/cgroups.ts";
import { type Hierarchy, ownHierarchies } from "../../src/apprunner/cgroup/hierarchies.ts";
import { openCgroups } from "../../src/apprunner/cgroup/open.ts";

/** Why a test that needs a power cannot run here; null when it can. */
export function lacking(hierarchies: readonly Hierarchy[], ...needed: (keyof Powers)[]): string | null {
  const id = `probe-${randomBytes(4).toString("hex")}`;
  const { cgroups, powers } = openCgroups(id, hierarchies);
  cgroups?.remove();
  const missing = needed.flatMap((name) => {
    const power = powers[name];
    return power.available ? [] : [`no ${name}: ${power.why}`];
  });
  return missing[0] ?? null;
}

/** Groups of a home of their own. Disposed of, they end all that is in them, and prove that nothing of them is left. */
export class Groups implements AsyncDisposable {
  readonly id = `test-${randomBytes(4).toString("hex")}`;
  readonly all: Cgroups;
  readonly #hierarchies: readonly Hierarchy[];

  constructor(hierarchies: readonly Hierarchy[] = ownHierarchies()) {
    this.#hierarchies = hierarchies;
    const { cgroups } = openCgroups(this.id, hierarchies);
    if (cgroups === null) throw new Error("no control group can be made here");
    this.all = cgroups;
  }

  create(key = "shop.web.1.v3.a", limits: Partial<typeof noLimits> = {}): Cgroup {
    return this.all.create(key, { ...noLimits, ...limits });
  }

  /** The directories of this home's groups, in all hierarchies. */
  directories(): string[] {
    return this.#hierarchies.map(({ own }) => join(own, `maestro-${this.id}`)).filter(existsSync);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const key of this.all.list()) {
      const group = this.all.find(key);
      await group?.kill();
      await group?.remove();
    }
    this.all.remove();
    const left = this.directories();
    if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  }
}

/** Joins a group as the chain of programs does, then becomes the program. */
const joining = 'for file in $1; do echo 0 >"$file" || exit 99; done; shift; exec "$@"';

export function startIn(group: Cgroup, ...command: string[]): ChildProcess & { pid: number } {
  const words = ["-c", joining, "sh", group.joinFiles.join(" "), ...command];
  const child = spawn("/bin/sh", words, { stdio: ["ignore", "pipe", "inherit"] });
  if (child.pid === undefined) throw new Error("no shell could be started");
  return Object.assign(child, { pid: child.pid });
}

export const startNode = (group: Cgroup, program: string) => startIn(group, process.execPath, "-e", program);

/** What a program writes next. Throws when it writes nothing more. */
export async function said({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("its output is not ours");
  const over = once(stdout, "close").then(() => Promise.reject(new Error("it ended without a word")));
  const [chunk] = await Promise.race([once(stdout, "data"), over]);
  over.catch(() => {}); // it may end later as it likes
  return String(chunk).trim();
}

/** How it ended: `[code, signal]`. */
export async function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return [child.exitCode, child.signalCode];
}
