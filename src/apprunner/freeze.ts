import { setTimeout as pause } from "node:timers/promises";
import { isStopped } from "../lib/processes.ts";
import { familyOf, leaderOf } from "./family.ts";
import { signalProcess } from "./kill.ts";
import type { Stoppable } from "./stop.ts";

/**
 * Stops every process of an instance where it is: by its control group, and where that cannot, by signals. Answers
 * whether none runs any more; otherwise all of them go on.
 */
export async function freeze(instance: Stoppable): Promise<boolean> {
  const byGroup = await instance.cgroup?.freeze().then(
    () => true,
    () => false, // There is no freezer, or one of them waits inside the kernel; then the group goes on.
  );
  return byGroup || freezeBySignals(instance);
}

/** How often it is looked for processes that still run; one that forks all the time is not caught sooner. */
const mostRounds = 50;

/** SIGSTOP, which no program can refuse. */
async function freezeBySignals(instance: Stoppable): Promise<boolean> {
  for (let round = 0; round < mostRounds; round += 1) {
    const family = familyOf(instance);
    if (family.length === 0) return false;
    const running = family.filter(({ pid }) => !isStopped(pid));
    if (running.length === 0) return true;
    for (const process of running) signalProcess(process, "SIGSTOP");
    await pause(1); // A process stops when it next runs; what it has forked meanwhile is seen after that.
  }
  await thaw(instance);
  return false;
}

/** Every process of an instance goes on, by whatever it was stopped; one that runs already does not notice. */
export async function thaw(instance: Stoppable): Promise<void> {
  await instance.cgroup?.thaw().catch(() => {}); // There is no freezer: it was stopped by signals, if at all.
  if (!isStopped(leaderOf(instance).pid)) return;
  for (const process of familyOf(instance)) signalProcess(process, "SIGCONT");
}
