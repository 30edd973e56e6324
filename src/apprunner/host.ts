import { createHash } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { IsolationLevel } from "../app/isolation.ts";
import type { Cgroups, Powers } from "./cgroup/cgroups.ts";
import { openCgroups } from "./cgroup/open.ts";
import { installNode } from "./node-runtime.ts";
import { anyUser, canReach, isExecutable } from "./reach.ts";
import type { Runtime } from "./runtime.ts";
import { layOutEtc } from "./sandbox/etc.ts";
import { chooseLevel } from "./sandbox/levels.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { hasFilter, seccompFilter } from "./sandbox/seccomp.ts";
import { SpareShims } from "./spare-shims.ts";
import { installStaticServer } from "./static-runtime.ts";

/** What instances are started with on this machine. */
export type Host = {
  /** Names what this home has in the kernel: others on the machine have their own. */
  id: string;
  runtime: Runtime;
  sandbox: Sandbox;
  /** Whether each app runs as the user that it owns; otherwise all run as Maestro's own. */
  ownUsers: boolean;
  cgroups: Cgroups | null;
  powers: Powers;
  /** Where the shims of instances come from. */
  shims: SpareShims;
  /** Why there is no more than that, in sentences. */
  obstacles: readonly string[];
};

export type HostOptions = {
  home: string;
  /** Nothing higher than this level of isolation. */
  atMost?: IsolationLevel;
};

/** Tells one home from the others on the machine. */
export const hostIdOf = (home: string): string => createHash("sha256").update(home).digest("hex").slice(0, 8);

/** Puts in place what apps need of Maestro, below its home, and finds out how they can be confined here. */
export async function openHost({ home, atMost = "full" }: HostOptions): Promise<Host> {
  const runtimes = join(home, "runtimes");
  const runtime = { node: await installNode(runtimes), staticServer: await installStaticServer(runtimes) };
  const id = hostIdOf(home);
  const { cgroups, powers } = openCgroups(id);
  const directory = join(home, "run", "sandbox");
  const etc = layOutEtc(join(directory, "etc"));
  const parts = { etc, seccomp: layOutFilter(join(directory, "seccomp.bpf")) };
  const { level, obstacles } = await chooseLevel({ runtime, parts, atMost });
  const obstacle = obstacleToOwnUsers(level, home);
  return {
    id,
    runtime,
    cgroups,
    powers,
    shims: new SpareShims(`maestro-${id}`),
    sandbox: { ...parts, level },
    ownUsers: obstacle === null,
    obstacles: obstacle === null ? obstacles : [...obstacles, obstacle],
  };
}

/** The filter of system calls, as a file; null for an architecture of which the calls are not known. */
function layOutFilter(path: string): string | null {
  if (!hasFilter(process.arch)) return null;
  // Renamed into its place: an app that starts at this moment reads the whole of it.
  writeFileSync(`${path}.new`, seccompFilter(process.arch), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return path;
}

const setpriv = "/usr/bin/setpriv";

/** Why apps run as Maestro's own user; null when each gets its own. */
function obstacleToOwnUsers(level: IsolationLevel, home: string): string | null {
  const same = "apps run as Maestro's own user, and can do all that it can";
  if (process.getuid?.() !== 0) return `user: Maestro is not root: ${same}`;
  if (!isExecutable(setpriv)) return `user: ${setpriv} (package util-linux) is missing: ${same}`;
  // In a sandbox of its own an app has the release at hand, wherever that lies.
  if (level !== "full" && !canReach(anyUser, home))
    return `user: ${home} lies below a directory that only some users may enter: ${same}`;
  return null;
}
