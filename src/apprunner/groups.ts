import type { Cgroups, Powers } from "./cgroup/cgroups.ts";

/**
 * Ends and removes the control groups of instances that nobody knows any more, such as those of a damaged record. Rejects
 * when one of them cannot be ended, after the others were.
 */
export async function sweepGroups(cgroups: Cgroups | null, known: ReadonlySet<string>): Promise<void> {
  const strangers = cgroups?.list().filter((key) => !known.has(key)) ?? [];
  await Promise.all(
    strangers.map(async (key) => {
      const group = cgroups?.find(key);
      await group?.kill();
      await group?.remove();
    }),
  );
}

const limited = ["memory", "cpu", "pids"] as const;

/** Why what cannot be limited on this machine is not, in sentences. */
export function unlimited(powers: Powers): string[] {
  return limited.flatMap((name) => {
    const power = powers[name];
    return power.available ? [] : [`${name} cannot be limited as a whole on this machine: ${power.why}`];
  });
}
