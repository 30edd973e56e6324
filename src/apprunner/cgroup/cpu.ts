import { readField, readNumber, writeControl, writeIfThere } from "./control-file.ts";
import type { Part } from "./part.ts";

/** Limits CPU time, in percent of one core; null lifts it. Throws the system error, EINVAL where the group above has less. */
export function limitCpu({ version, directory }: Part, percent: number | null): void {
  const { quota, period } = bandwidth(percent ?? 100);
  if (version === 2) {
    writeControl(directory, "cpu.max", percent === null ? "max" : `${quota} ${period}`);
    return;
  }
  // Lifted in between: the old quota in the new period could be more than the kernel allows.
  writeControl(directory, "cpu.cfs_quota_us", -1);
  if (percent === null) return;
  writeControl(directory, "cpu.cfs_period_us", period);
  writeControl(directory, "cpu.cfs_quota_us", quota);
}

/**
 * In µs. Who has used up his quota stands still until the period is over, so a short period means short stops: 20 ms,
 * not the kernel's 100. A quota below 5 ms, the slice that the scheduler deals to a core, would be dealt unevenly;
 * then the period grows instead, up to 100 ms. See https://docs.kernel.org/scheduler/sched-bwc.html.
 */
export function bandwidth(percent: number): { quota: number; period: number } {
  const period = Math.min(100_000, Math.max(20_000, Math.ceil(500_000 / percent)));
  return { quota: Math.round((period * percent) / 100), period };
}

/** A tenth of what others get, while those want it: 100 in v2 and 1024 in v1 is what everybody has. */
export function lowerWeight({ version, directory }: Part): void {
  if (version === 2) writeIfThere(directory, "cpu.weight", 10);
  else writeIfThere(directory, "cpu.shares", 102);
}

/** In how many periods the group was made to stand still; null where that is not counted. */
export function throttledPeriods({ directory }: Part): number | null {
  return readField(directory, "cpu.stat", "nr_throttled");
}

/** CPU time of all that ever ran in the group, ms. v2 counts it in every group, v1 in those of `cpuacct`. */
export function cpuTimeMs({ version, directory }: Part): number | null {
  const [count, perMs] =
    version === 2
      ? [readField(directory, "cpu.stat", "usage_usec"), 1e3]
      : [readNumber(directory, "cpuacct.usage"), 1e6];
  return count === null ? null : count / perMs;
}
