import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { partsOf, processesOf } from "./chaos-processes.ts";

/** Memory of a process in KiB, by /proc/PID/smaps_rollup: see proc_pid_smaps(5). */
export type Memory = {
  /** What is resident, also what others have mapped too. */
  residentKiB: number;
  /** Its share of that: what others have mapped too is divided by their number. */
  shareKiB: number;
  /** What nobody else has: what would be free if it ended. */
  privateKiB: number;
};

/** Throws the system error when the process is gone, or another user's. */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]);
  return {
    residentKiB: field("Rss"),
    shareKiB: field("Pss"),
    privateKiB: field("Private_Clean") + field("Private_Dirty"),
  };
}

export type Footprint = {
  /** What stays beside the programs of an instance: the shim, the shell of a start line. */
  beside: Memory;
  /** The app's own programs; for static files, the server of Maestro that serves them. */
  programs: Memory;
  /** What the processes beside it call themselves. */
  names: string[];
};

/** Of an instance whose programs all run on Node. */
export function footprintOf({ pid, runDirectory }: { pid: number; runDirectory: string }): Footprint {
  const members = partsOf(pid);
  const programs = members.filter((member) => isNode(member.pid));
  // The controller, too, has to do with that directory: it waits for the end of the shim.
  const shims = processesOf(runDirectory).filter(({ name }) => name.startsWith("apprunner."));
  const beside = [...shims, ...members.filter((member) => !isNode(member.pid))];
  return {
    beside: sumOf(beside.map((process) => memoryOf(process.pid))),
    programs: sumOf(programs.map((process) => memoryOf(process.pid))),
    names: beside.map(({ name }) => name),
  };
}

const isNode = (pid: number) => /^node/.test(basename(readlinkSync(`/proc/${pid}/exe`)));

function sumOf(memories: readonly Memory[]): Memory {
  const sum = (value: (memory: Memory) => number) =>
    memories.reduce((total, memory) => total + value(memory), 0);
  return {
    residentKiB: sum(({ residentKiB }) => residentKiB),
    shareKiB: sum(({ shareKiB }) => shareKiB),
    privateKiB: sum(({ privateKiB }) => privateKiB),
  };
}
