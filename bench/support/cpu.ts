import { readFile } from "node:fs/promises";

/** The kernel's tick in /proc is 1/100 s on Linux, whatever its own (`getconf CLK_TCK`). */
const tickMs = 10;

/** Processor time that a process has used so far, user and system, in ms: fields 14 and 15 of /proc/PID/stat. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** Memory that a process has resident, in MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}
