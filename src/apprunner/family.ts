import { readlinkSync } from "node:fs";
import {
  environmentOf,
  listProcesses,
  type ProcessIdentity,
  type ProcessInfo,
  readProcess,
  uidOf,
} from "../lib/processes.ts";
import type { InstanceRecord } from "../protocol/instance-files.ts";

/** Whose processes are meant. With a uid: all of that user's as well (for the last instance of an app). */
export type FamilyOf = ProcessIdentity & {
  record?: InstanceRecord;
  namespace?: ProcessIdentity | null;
  uid?: number;
};

/**
 * The living processes of an instance: its main process, all of its session and group, all that descend from it,
 * and orphans that left the session (setsid(2)) but still write to its log or carry its environment. A process that
 * hides from all of these is caught by a cgroup or a pid namespace only: in that, everyone descends from the first one.
 */
export function familyOf(instance: FamilyOf): ProcessInfo[] {
  const all = listProcesses();
  const root = leaderOf(instance);
  const related = isOurs(root) ? relatives(root.pid, all) : new Set<number>();
  return all.filter(
    (process) =>
      isCandidate(root, process) &&
      (related.has(process.pid) || isMarked(instance, process) || isOfUser(instance, process)),
  );
}

/** The members of its process group, those that a signal to the group reaches. */
export function groupOf(instance: FamilyOf): ProcessInfo[] {
  const leader = leaderOf(instance);
  if (!isOurs(leader)) return [];
  return listProcesses().filter((process) => process.group === leader.pid && isCandidate(leader, process));
}

/** Who leads its session and process group: bwrap(1) makes them for the first process inside. */
export const leaderOf = ({ namespace, pid, startTime }: FamilyOf): ProcessIdentity =>
  namespace ?? { pid, startTime };

/**
 * A pid is not given out again while a group or session bears its number. So the numbers are the instance's unless
 * the process that has the pid now is another one.
 */
function isOurs({ pid, startTime }: ProcessIdentity): boolean {
  const holder = readProcess(pid);
  return pid > 1 && (holder === null || holder.startTime === startTime);
}

/** Nobody who was there before the instance belongs to it; and never init, nor ourselves. */
function isCandidate({ startTime }: ProcessIdentity, { pid, startTime: started }: ProcessInfo): boolean {
  return pid > 1 && pid !== process.pid && BigInt(started) >= BigInt(startTime);
}

function relatives(root: number, all: readonly ProcessInfo[]): Set<number> {
  const found = new Set([root]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const { pid, parent, group, session } of all) {
      if (found.has(parent) || session === root || group === root) found.add(pid);
    }
  }
  return found;
}

function isMarked({ record }: FamilyOf, { pid }: ProcessInfo): boolean {
  return record !== undefined && (writesTo(pid, record.output) || carries(pid, record));
}

function writesTo(pid: number, { stdout, stderr }: InstanceRecord["output"]): boolean {
  return [1, 2].some((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return target === stdout || target === stderr;
    } catch {
      return false; // gone meanwhile, or another user's
    }
  });
}

/** Among instances that live at the same time, the port tells them apart; without one the environment does not. */
function carries(pid: number, { app, id, port }: InstanceRecord): boolean {
  if (port === null) return false;
  const environment = environmentOf(pid);
  return [`MAESTRO_APP=${app}`, `MAESTRO_INSTANCE=${id}`, `PORT=${port}`].every((entry) =>
    environment.has(entry),
  );
}

function isOfUser({ uid }: FamilyOf, { pid }: ProcessInfo): boolean {
  return uid !== undefined && uid > 0 && uidOf(pid) === uid;
}
