import { closeSync, readdirSync, readFileSync } from "node:fs";
import { isSystemError } from "../errors.ts";

/** O_CLOEXEC of open(2) on Linux, as proc_pid_fdinfo(5) shows it. */
const closedOnExec = 0o2000000;

/**
 * Closes the descriptors that whoever started this process left open in it, such as a shell's lock or pipe: every
 * program that this one starts would inherit them, an app too. All that Node opens is closed on execve(2) anyway; at its
 * start it sees to that for the first 16 as well, but not for those behind a gap. Standard streams stay.
 */
export function closeInherited(): void {
  for (const fd of openDescriptors()) if (fd > 2 && isInheritable(fd)) closeSync(fd);
}

function openDescriptors(): number[] {
  try {
    return readdirSync("/proc/self/fd").map(Number);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return []; // no Linux
    throw error;
  }
}

function isInheritable(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & closedOnExec) === 0;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false; // the one by which the directory was read
    throw error;
  }
}
