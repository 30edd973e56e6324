import { renameSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LaunchSpec, RunningInstance } from "../app/instance.ts";
import type { IsolationLevel } from "../app/isolation.ts";
import { bootId, type ProcessIdentity } from "../lib/processes.ts";
import { InstanceRecord, instanceFiles } from "../protocol/instance-files.ts";
import type { Cgroup } from "./cgroup/cgroup.ts";

/** A running instance together with what is written down about it. */
export type KnownInstance = RunningInstance & {
  readonly record: InstanceRecord;
  /** The first process of its pid namespace; null where it has none of its own. */
  readonly namespace: ProcessIdentity | null;
  /** Null where this machine has no control groups. */
  readonly cgroup: Cgroup | null;
};

/**
 * Writes instance.json so that a reader finds all of it or nothing. Not synced to the disk: what it speaks of does
 * not outlive a power cut either. Synchronous, since the app waits for it: a tenth of the time.
 */
export function writeRecord(spec: LaunchSpec, level: IsolationLevel): InstanceRecord {
  const { app, key, id, release, port, output, runDirectory } = spec;
  const record: InstanceRecord = { v: 1, app, key, id, release, port, bootId: bootId(), level, output };
  const path = join(runDirectory, instanceFiles.record);
  writeFileSync(`${path}.tmp`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
  return record;
}

/** Null when it is missing or not what Maestro writes. */
export async function readRecord(runDirectory: string): Promise<InstanceRecord | null> {
  try {
    const text = await readFile(join(runDirectory, instanceFiles.record), "utf8");
    return InstanceRecord.parse(JSON.parse(text));
  } catch {
    return null; // whatever the reason, nobody can be recognised by it
  }
}
