import { formatBytes } from "../../app/limits.ts";
import { isSystemError, MaestroError } from "../../errors.ts";
import { readControl, readField, readNumber, writeControl, writeIfThere } from "./control-file.ts";
import type { Part } from "./part.ts";

/**
 * Limits memory, without a way out into swap. Bytes; null lifts it. Throws `BAD_INPUT` when more than that is in use
 * and cannot be given back: then nothing has changed, and nothing was killed.
 */
export function limitMemory(part: Part, name: string, limit: number | null): void {
  try {
    if (part.version === 2) limitV2(part.directory, name, limit);
    else limitV1(part.directory, limit);
  } catch (error) {
    if (!isSystemError(error, "EBUSY") || limit === null) throw error;
    throw belowUse(name, limit, readNumber(part.directory, "memory.usage_in_bytes"), error);
  }
}

/** Bytes; null without one. In v1 that is a number larger than any machine's memory. */
export function memoryLimit({ version, directory }: Part): number | null {
  const limit = readNumber(directory, version === 2 ? "memory.max" : "memory.limit_in_bytes");
  return limit === null || limit > Number.MAX_SAFE_INTEGER / 2 ? null : limit;
}

/** Of all that the group holds, page cache and kernel memory included, in bytes. `peak`: the most it ever held. */
export function memoryUsage({ version, directory }: Part): { now: number; peak: number | null } | null {
  const [nowFile, peakFile] = files[version];
  const now = readNumber(directory, nowFile);
  return now === null ? null : { now, peak: readNumber(directory, peakFile) };
}

const files = {
  1: ["memory.usage_in_bytes", "memory.max_usage_in_bytes"],
  2: ["memory.current", "memory.peak"], // memory.peak: since Linux 5.19
} as const;

/** How many processes the kernel has killed because the group was out of memory. */
export function oomKillsOf({ version, directory }: Part): number {
  return readField(directory, version === 2 ? "memory.events" : "memory.oom_control", "oom_kill") ?? 0;
}

/** https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files */
function limitV2(directory: string, name: string, limit: number | null): void {
  // The kernel takes any value here, and kills until it is kept to.
  const held = heldV2(directory);
  if (limit !== null && held > limit) throw belowUse(name, limit, held);
  writeIfThere(directory, "memory.swap.max", limit === null ? "max" : 0);
  // An app that lost one of its processes is half an app: all of it goes, and is started again.
  writeIfThere(directory, "memory.oom.group", 1);
  writeControl(directory, "memory.max", limit ?? "max");
}

/** What cannot be given back without swap: all but the page cache of files on disk and what the kernel may drop. */
function heldV2(directory: string): number {
  const field = (of: string) => readField(directory, "memory.stat", of) ?? 0;
  const droppable = field("file") - field("shmem") + field("slab_reclaimable");
  return Math.max(0, (readNumber(directory, "memory.current") ?? 0) - droppable);
}

/**
 * https://docs.kernel.org/admin-guide/cgroup-v1/memory.html. "memsw" is memory and swap together: never less than memory
 * alone, so which of the two is written first depends on the direction. It is not there without swap accounting.
 */
function limitV1(directory: string, limit: number | null): void {
  const [memory, both] = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
  writeIfThere(directory, "memory.swappiness", limit === null ? 60 : 0);
  const before = readControl(directory, memory)?.trim() ?? "-1";
  const value = limit ?? -1;
  if (limit === null || limit > Number(before)) {
    writeIfThere(directory, both, value);
    writeControl(directory, memory, value);
    return;
  }
  writeControl(directory, memory, value);
  try {
    writeIfThere(directory, both, value);
  } catch (error) {
    writeControl(directory, memory, before); // some of it is in swap
    throw error;
  }
}

function belowUse(name: string, limit: number, use: number | null, cause?: unknown): MaestroError {
  const message = `${name} uses ${formatBytes(use ?? limit)} of memory, which cannot be limited to ${formatBytes(limit)} while it runs; restart it with the new limit, or choose a higher one`;
  return new MaestroError("BAD_INPUT", message, { limit, use }, { cause });
}
