import { readFileSync } from "node:fs";
import { listProcesses, type ProcessIdentity, type ProcessInfo } from "../../lib/processes.ts";

/**
 * The program itself, given the process at the head of the chain that leads to it: the nearest that leads a session.
 * The head when there is none yet. The init of a pid namespace is of the sandbox; a signal to it would end the sandbox,
 * and the program would learn nothing.
 */
export function targetOf(head: ProcessIdentity): ProcessIdentity {
  const all = listProcesses();
  let generation = all.filter(({ pid, startTime }) => pid === head.pid && startTime === head.startTime);
  while (generation.length > 0) {
    const found = generation.find((process) => process.session === process.pid && !isInit(process));
    if (found) return found;
    const parents = new Set(generation.map(({ pid }) => pid));
    generation = all.filter(({ parent }) => parents.has(parent));
  }
  return head;
}

/** NSpid of proc_pid_status(5): its pid in each namespace, the innermost last. */
function isInit({ pid }: ProcessInfo): boolean {
  try {
    return /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false; // it has just ended
  }
}
