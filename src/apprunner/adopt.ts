import { stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Exit } from "../app/instance.ts";
import { bootId, isAlive } from "../lib/processes.ts";
import { type InstanceRecord, instanceFiles } from "../protocol/instance-files.ts";
import type { Cgroups } from "./cgroup/cgroups.ts";
import { endOf, readExit, unseen, wantOfMemory } from "./end.ts";
import { identify } from "./identity.ts";
import { type KnownInstance, readRecord } from "./run-files.ts";
import { stop } from "./stop.ts";

/**
 * An instance that ended while no controller looked. `endedAt`: ISO 8601, null when nobody saw it. `leftBehind`: what
 * `stop` ends of it, its orphans; null when its process was of another boot of this machine, or never came up.
 */
export type EndedInstance = {
  ended: Exit;
  endedAt: string | null;
  record: InstanceRecord;
  leftBehind: KnownInstance | null;
};

/** How long a shim may take to write down how its process ended, ms. */
const shimMs = 2000;

/**
 * What became of an instance that an earlier controller started, by the files in its run directory. Null when they
 * do not say which instance it was. Never throws for what the files hold.
 */
export async function adopt(
  runDirectory: string,
  cgroups: Cgroups | null,
): Promise<KnownInstance | EndedInstance | null> {
  const record = await readRecord(runDirectory);
  if (record === null) return null;
  const processes = await identify(runDirectory);
  if (processes === null || record.bootId !== bootId()) {
    return { ...(await endAsSeen(runDirectory)), record, leftBehind: null };
  }
  const cgroup = cgroups?.find(record.key) ?? null;
  const { main, namespace } = processes;
  const known = (exited: Promise<Exit>): KnownInstance => ({
    key: record.key,
    ...main,
    namespace,
    cgroup,
    record,
    exited,
  });
  const exited = endOf(runDirectory, main, cgroup);
  if (isAlive(main)) return known(exited);
  // One that has just ended has a shim that is about to write down how. A shim that goes on is another's, or the file
  // with the identity is not what was written: then nothing is known but that this process is not there.
  const patience = new AbortController();
  const unknown = pause(shimMs, unseen, { signal: patience.signal }).catch(() => unseen);
  const ended = await Promise.race([exited, unknown]);
  patience.abort();
  const { ended: seen, endedAt } = await endAsSeen(runDirectory);
  return {
    ended: { ...seen, ...wantOfMemory(cgroup, seen) },
    endedAt,
    record,
    leftBehind: known(Promise.resolve(ended)),
  };
}

/** By what the shim wrote down. */
async function endAsSeen(runDirectory: string): Promise<Pick<EndedInstance, "ended" | "endedAt">> {
  const ended = await readExit(runDirectory);
  if (ended === null) return { ended: unseen, endedAt: null };
  const { mtime } = await stat(join(runDirectory, instanceFiles.exit));
  return { ended, endedAt: mtime.toISOString() };
}

/** Ends what runs of an instance whose record is damaged: nobody can say what it is, and nobody would ever end it. */
export async function endUnrecognised(runDirectory: string): Promise<void> {
  const processes = await identify(runDirectory);
  if (processes === null || !isAlive(processes.main)) return;
  const { main, namespace } = processes;
  await stop({ key: "", ...main, namespace, exited: endOf(runDirectory, main, null) }, { graceMs: 0 });
}
