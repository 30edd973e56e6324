import type { Exit, RunningInstance } from "../app/instance.ts";
import { aborted } from "../lib/aborted.ts";
import { poll } from "../lib/poll.ts";
import { isAlive } from "../lib/processes.ts";
import { type FamilyOf, familyOf, groupOf, leaderOf } from "./family.ts";
import { killTree, signalGroup, signalProcess } from "./kill.ts";
import type { KnownInstance } from "./run-files.ts";

export type StopOptions = {
  /** How long it may take to end by itself, in ms. */
  graceMs: number;
  /** Ends the grace early. */
  signal?: AbortSignal;
  /** Also ends everything else of this user. Only for the last instance of an app that has a user of its own. */
  uid?: number;
};

/** An instance, with what `launch` and `adopt` know of it besides: by that its orphans are recognised. */
export type Stoppable = RunningInstance & Partial<Pick<KnownInstance, "record" | "namespace" | "cgroup">>;

/**
 * Ends an instance: SIGTERM to its process group, so that its own handlers run, also behind a shell; then, when the
 * grace is over, SIGKILL to all that is left, orphans included. Also ends what an instance left behind that has
 * ended by itself. Resolves with how its main process ended.
 */
export async function stop(instance: Stoppable, { graceMs, signal, uid }: StopOptions): Promise<Exit> {
  using _alive = keepAlive();
  const family: FamilyOf = uid === undefined ? instance : { ...instance, uid };
  const known = familyOf(family);
  const grace = AbortSignal.any([AbortSignal.timeout(graceMs), ...(signal ? [signal] : [])]);

  signalGroup(instance, "SIGTERM");
  await untilGone(instance, grace);
  await killTree(leaderOf(instance));
  await instance.cgroup?.kill();
  await poll(
    () => killRest(family, known),
    { first: 2, most: 50 },
    { signal: AbortSignal.timeout(killLimitMs) },
  ).catch(
    () => {}, // what SIGKILL does not end hangs in the kernel: nobody can do more about it
  );
  const exit = await instance.exited;
  await instance.cgroup?.remove();
  return exit;
}

const killLimitMs = 5000;

/** Watching an instance does not keep this process alive; ending one has to be seen through. */
function keepAlive(): Disposable {
  const timer = setInterval(() => {}, 60_000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Resolves when the main process and all of its group have ended, or the grace is over. */
async function untilGone(instance: Stoppable, grace: AbortSignal): Promise<void> {
  await Promise.race([instance.exited, aborted(grace)]);
  await poll(
    () => (groupOf(instance).length === 0 ? true : null),
    { first: 2, most: 100 },
    { signal: grace },
  ).catch(
    () => {}, // the grace is over
  );
}

/** True when nothing is left. `known` are those whose kinship could be seen only as long as their parents lived. */
function killRest(family: FamilyOf, known: ReturnType<typeof familyOf>): true | null {
  const left = [...familyOf(family), ...known.filter(isAlive)];
  for (const process of left) signalProcess(process, "SIGKILL");
  return left.length === 0 ? true : null;
}
