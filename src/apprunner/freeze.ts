import { setTimeout as pause } from "node:timers/promises";
import { isStopped } from "../lib/processes.ts";
import { familyOf } from "./family.ts";
import { signalProcess } from "./kill.ts";
import type { Stoppable } from "./stop.ts";

/** How often it is looked for processes that still run; one that forks all the time is not caught sooner. */
const mostRounds = 50;

/**
 * Stops every process of an instance where it is, by SIGSTOP, which no program can refuse. Answers whether none runs any
 * more; otherwise all of them go on.
 */
export async function freeze(instance: Stoppable): Promise<boolean> {
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

/** Every process of an instance goes on; one that runs already does not notice. */
export async function thaw(instance: Stoppable): Promise<void> {
  for (const process of familyOf(instance)) signalProcess(process, "SIGCONT");
}
