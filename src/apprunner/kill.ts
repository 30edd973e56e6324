import { existsSync } from "node:fs";
import treeKill from "tree-kill";
import { isSystemError } from "../errors.ts";
import { isAlive, type ProcessIdentity } from "../lib/processes.ts";
import { type FamilyOf, groupOf, leaderOf } from "./family.ts";

/** Signals one process, if it still is the one that is meant. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (isOne(identity.pid) && isAlive(identity)) kill(identity.pid, signal);
}

/**
 * Signals the process group of an instance, also when its leader has ended before the others. To the first process of
 * a pid namespace, which leads it there, only SIGKILL and SIGSTOP are of consequence (pid_namespaces(7)).
 */
export function signalGroup(instance: FamilyOf, signal: NodeJS.Signals): void {
  const { pid } = leaderOf(instance);
  if (isOne(pid) && groupOf(instance).length > 0) kill(-pid, signal);
}

/** Kills a process and its descendants, as far as parent ids lead. */
export async function killTree(identity: ProcessIdentity): Promise<void> {
  // tree-kill signals whatever it is given (a string such as "1; x" is pid 1 to it), and throws where nobody catches
  // when ps(1) is missing; then the caller's own look into /proc has to do.
  if (!isOne(identity.pid) || !isAlive(identity) || !existsSync("/bin/ps")) return;
  await new Promise<void>((resolve) => treeKill(identity.pid, "SIGKILL", () => resolve()));
}

/** kill(2) takes 0 for our own group, -1 for everyone; 1 is init. */
const isOne = (pid: number) => Number.isSafeInteger(pid) && pid > 1 && pid !== process.pid;

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isSystemError(error, "ESRCH")) throw error; // it ended by itself meanwhile
  }
}
