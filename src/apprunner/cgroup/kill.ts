import { isSystemError, MaestroError } from "../../errors.ts";
import { poll } from "../../lib/poll.ts";
import { procsOf, readControl, writeIfThere } from "./control-file.ts";
import { turn } from "./freeze.ts";
import { type Part, partWith } from "./part.ts";

/** How long the end of a group may take, ms. What is left then hangs in the kernel. */
const killLimitMs = 5000;

/** The processes that are in any part of a group, as pids that could be signalled. */
export function membersOf(parts: readonly Part[]): number[] {
  const pids = parts.flatMap(({ directory }) => procsOf(directory)).map(Number);
  return [...new Set(pids)].filter((pid) => Number.isSafeInteger(pid) && pid > 1);
}

/** Also a process of another pid namespace, which has no pid here, is in a group. */
export function isEmpty(parts: readonly Part[]): boolean {
  return parts.every(({ directory }) => procsOf(directory).length === 0);
}

/** Ends everything in a group. Resolves when nothing is in it any more; throws `INTERNAL` that names what is left. */
export async function killAll(parts: readonly Part[], name: string): Promise<void> {
  const signal = AbortSignal.timeout(killLimitMs);
  try {
    await poll(() => strike(parts, name), { first: 1, most: 50 }, { signal });
  } catch (cause) {
    if (!signal.aborted) throw cause;
    throw left(parts, name, cause);
  }
}

/** True when the group is empty. */
async function strike(parts: readonly Part[], name: string): Promise<true | null> {
  if (isEmpty(parts)) return true;
  if (killedByKernel(parts)) return null;
  await using _still = await holdStill(parts, name);
  for (const pid of membersOf(parts)) kill(pid);
  return null;
}

/** cgroup.kill, since Linux 5.14: all at once, and nobody can fork away. Only where v2 is all of the group. */
function killedByKernel(parts: readonly Part[]): boolean {
  return (
    parts.every(({ version }) => version === 2) &&
    parts.every(({ directory }) => writeIfThere(directory, "cgroup.kill", 1))
  );
}

/** While a group stands still, its pids stay its own, and it has no new ones. In v1 it dies when it is let go. */
async function holdStill(parts: readonly Part[], name: string): Promise<AsyncDisposable> {
  const freezer = partWith(parts, "freezer");
  if (freezer === null) {
    forbidForks(parts);
    return { [Symbol.asyncDispose]: async () => {} };
  }
  await turn(freezer, name, "frozen", 1000).catch(
    () => {}, // what cannot be frozen can often be killed all the same, and the next round comes
  );
  return { [Symbol.asyncDispose]: () => turn(freezer, name, "thawed", 1000).catch(() => {}) };
}

/** For good: nobody who is being killed needs a child any more. */
function forbidForks(parts: readonly Part[]): void {
  const pids = partWith(parts, "pids");
  if (pids !== null) writeIfThere(pids.directory, "pids.max", 0);
}

function kill(pid: number): void {
  if (pid === process.pid) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!isSystemError(error, "ESRCH")) throw error; // it ended by itself meanwhile
  }
}

function left(parts: readonly Part[], name: string, cause: unknown): MaestroError {
  const pids = membersOf(parts);
  const shown = pids
    .map((pid) => `${pid} (${readControl(`/proc/${pid}`, "comm")?.trim() ?? "gone"})`)
    .join(", ");
  const message = `${name} could not be ended within ${killLimitMs / 1000} s: ${shown || "a process of another pid namespace"} is left; it hangs in the kernel, or Maestro may not signal it`;
  return new MaestroError("INTERNAL", message, { name, pids }, { cause });
}
