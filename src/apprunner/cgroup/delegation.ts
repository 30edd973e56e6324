import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isSystemError } from "../../errors.ts";
import { readProcess } from "../../lib/processes.ts";
import { readControl, writeControl } from "./control-file.ts";

/** The controllers of v2 that Maestro uses, as `cgroup.controllers` names them. */
const wanted = ["memory", "cpu", "pids"] as const;
type Wanted = (typeof wanted)[number];

/** Where Maestro's own processes are when groups with controllers stand beside them. */
const leafOf = (name: string) => `${name}.own`;

/** The group below which Maestro makes others: its own, also after it has moved into a leaf of it. */
export function stemOf(own: string, name: string): string {
  return basename(own) === leafOf(name) ? dirname(own) : own;
}

/** Those of the wanted controllers that a group of v2 was handed by the group above it. */
export function controllersOf(group: string): Wanted[] {
  const handed = (readControl(group, "cgroup.controllers") ?? "").trim().split(" ");
  return wanted.filter((controller) => handed.includes(controller));
}

/**
 * Hands controllers on to what is below a group. A group of v2 that does so holds no processes of its own, so those in
 * it move into a leaf beside the groups of instances, if they are Maestro's. Null when done; else why not, as a sentence.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
 */
export function handOn(controller: string, stem: string, name: string): string | null {
  try {
    if (isHandedOn(controller, stem)) return null;
    if (enable(controller, stem)) return null;
    const obstacle = moveIntoLeaf(stem, name);
    if (obstacle !== null) return obstacle;
    return enable(controller, stem) ? null : `other programs keep starting in ${stem}`;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return `Maestro may not hand on the ${controller} controller of ${stem} (${error.code}); as a service with Delegate=yes it may (maestro install)`;
  }
}

function isHandedOn(controller: string, group: string): boolean {
  return (readControl(group, "cgroup.subtree_control") ?? "").trim().split(" ").includes(controller);
}

/** False while processes are in the group itself. */
function enable(controller: string, group: string): boolean {
  try {
    writeControl(group, "cgroup.subtree_control", `+${controller}`);
    return true;
  } catch (error) {
    if (isSystemError(error, "EBUSY")) return false;
    throw error;
  }
}

/** What forks while it is done is found by the next look. Null when the group itself is empty. */
function moveIntoLeaf(stem: string, name: string): string | null {
  const leaf = join(stem, leafOf(name));
  for (let look = 0; look < 20; look++) {
    const pids = ownProcessesOf(stem);
    if (pids.length === 0) return null;
    const strange = strangersAmong(pids, stem);
    if (strange !== null) return strange;
    mkdirSync(leaf, { recursive: true });
    for (const pid of pids) move(pid, leaf);
  }
  return `other programs keep starting in ${stem}`;
}

function ownProcessesOf(group: string): number[] {
  const lines = (readControl(group, "cgroup.procs") ?? "").split("\n");
  return lines.filter((line) => line !== "").map(Number);
}

function move(pid: number, group: string): void {
  try {
    writeControl(group, "cgroup.procs", pid);
  } catch (error) {
    if (!isSystemError(error, "ESRCH")) throw error; // it has ended
  }
}

/**
 * All of a unit that systemd has delegated is Maestro's, who was started in it. In a unit that is systemd's, nothing
 * may be moved. Where no systemd is, as in a container, Maestro moves itself, those who started it, and its children.
 */
function strangersAmong(pids: readonly number[], group: string): string | null {
  const delegated = isDelegated(group);
  if (delegated === true) return null;
  if (delegated === false)
    return `systemd has not delegated ${group} to Maestro: run it as a service with Delegate=yes (maestro install)`;
  const strangers = pids.filter((pid) => !isKin(pid));
  if (strangers.length === 0) return null;
  return `processes that are not Maestro's run in its control group ${group} (${strangers.slice(0, 5).join(", ")}): start Maestro in a group of its own`;
}

const isKin = (pid: number) =>
  ancestorsOf(process.pid).includes(pid) || ancestorsOf(pid).includes(process.pid);

/** A process and those above it. */
function ancestorsOf(pid: number): number[] {
  const parent = pid > 0 ? readProcess(pid)?.parent : undefined;
  return parent === undefined ? [pid] : [pid, ...ancestorsOf(parent)];
}

/** Null where no systemd answers for the group. */
function isDelegated(group: string): boolean | null {
  const unit = basename(group);
  if (!/\.(service|scope)$/.test(unit)) return null;
  const manager = /\/user@\d+\.service\//.test(group) ? ["--user"] : [];
  const question = [...manager, "show", "--property=Delegate", "--value", "--", unit];
  try {
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
    return execFileSync("systemctl", question, { encoding: "utf8", timeout: 5000, stdio }).trim() === "yes";
  } catch (error) {
    // Without the program there is no systemd. One that is there and does not answer has delegated nothing.
    return isSystemError(error, "ENOENT") ? null : false;
  }
}
