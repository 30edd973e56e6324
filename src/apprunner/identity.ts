import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  childrenOf,
  isAlive,
  type ProcessIdentity,
  parseIdentity,
  pidInside,
  readProcess,
} from "../lib/processes.ts";
import { instanceFiles } from "../protocol/instance-files.ts";

/**
 * The processes by which an instance is known. `main`: the app's own, whose process group gets the signals.
 * `namespace`: the first one of its pid namespace, with whose end the kernel ends all others in it; null where the app
 * shares the machine's processes.
 */
export type InstanceProcesses = { main: ProcessIdentity; namespace: ProcessIdentity | null };

/** bwrap(1), --json-status-fd: of several lines this is the first. */
const SandboxStatus = z.object({ "child-pid": z.int().min(2) });

/**
 * Who runs in a run directory; null when nobody was ever started there, or the line is not whole. When nothing runs any
 * more inside, or never did, the process that led there stands for all.
 */
export async function identify(runDirectory: string): Promise<InstanceProcesses | null> {
  const started = parseIdentity(await textOf(join(runDirectory, instanceFiles.process)));
  if (started === null) return null;
  const namespace = firstInside(started, await textOf(join(runDirectory, instanceFiles.sandbox)));
  const main = namespace && mainIn(namespace);
  return main ? { main, namespace } : { main: started, namespace };
}

const textOf = (path: string) => readFile(path, "utf8").catch(() => "");

/** A pid that is written down may be another's by now: this one is a child of the process that led there. */
function firstInside(started: ProcessIdentity, status: string): ProcessIdentity | null {
  const child = parseStatus(status.split("\n", 1)[0] ?? "");
  const found = child === null ? null : readProcess(child);
  return found?.parent === started.pid && isAlive(started)
    ? { pid: found.pid, startTime: found.startTime }
    : null;
}

function parseStatus(line: string): number | null {
  try {
    return SandboxStatus.parse(JSON.parse(line))["child-pid"];
  } catch {
    return null; // not written yet, or by somebody else
  }
}

/** bwrap's init is 1 inside, and the first that it starts is 2. */
function mainIn({ pid }: ProcessIdentity): ProcessIdentity | null {
  const main = childrenOf(pid).find((child) => pidInside(child.pid) === 2);
  return main ? { pid: main.pid, startTime: main.startTime } : null;
}
