import type { Exit } from "../app/instance.ts";
import { bootId, isAlive } from "../lib/processes.ts";
import type { InstanceRecord } from "../protocol/instance-files.ts";
import { endOf, readExit } from "./end.ts";
import { type KnownInstance, readIdentity, readRecord } from "./run-files.ts";

/** An instance that ended while no controller looked. */
export type EndedInstance = { ended: Exit; record: InstanceRecord };

/**
 * What became of an instance that an earlier controller started, by the files in its run directory. Null when they
 * do not say which instance it was. Never throws for what the files hold.
 */
export async function adopt(runDirectory: string): Promise<KnownInstance | EndedInstance | null> {
  const record = await readRecord(runDirectory);
  if (record === null) return null;
  const identity = await readIdentity(runDirectory);
  const exit = await readExit(runDirectory);
  if (exit !== null) return { ended: exit, record };
  if (identity === null || record.bootId !== bootId()) return { ended: { code: null, signal: null }, record };
  const exited = endOf(runDirectory, identity);
  // A process that has just ended has a shim that is about to write down how.
  if (!isAlive(identity)) return { ended: await exited, record };
  return { key: record.key, ...identity, record, exited };
}
