import { readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isSystemError } from "../../errors.ts";

/** The text of a control file; null when it, or its group, is not there. */
export function readControl(directory: string, file: string): string | null {
  try {
    return readFileSync(join(directory, file), "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENODEV")) return null; // ENODEV: the group goes at this moment
    throw error;
  }
}

/** A number that stands alone in a file; null when it is not there, or says "max" or more than a number can hold. */
export function readNumber(directory: string, file: string): number | null {
  return toNumber(readControl(directory, file)?.trim());
}

/** The value behind a name in a file with a "NAME VALUE" on each line. */
export function readField(directory: string, file: string, name: string): number | null {
  const lines = (readControl(directory, file) ?? "").split("\n");
  return toNumber(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1));
}

function toNumber(text: string | undefined): number | null {
  const value = text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : null;
}

/** One write(2), as the kernel wants it. Throws the system error, ENOENT for a file that this kernel does not have. */
export function writeControl(directory: string, file: string, value: string | number): void {
  writeFileSync(join(directory, file), String(value), { flag: "r+" });
}

/** False when this kernel does not have the file. */
export function writeIfThere(directory: string, file: string, value: string | number): boolean {
  try {
    writeControl(directory, file, value);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}

/** The names of the groups below a group; empty when it is not there. */
export function groupsIn(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENODEV", "EACCES")) return [];
    throw error;
  }
}

/** The lines of cgroup.procs of a group and of all below it. A process of another pid namespace shows as "0". */
export function procsOf(directory: string): string[] {
  const lines = (readControl(directory, "cgroup.procs") ?? "").split("\n").filter((line) => line !== "");
  return [...lines, ...groupsIn(directory).flatMap((name) => procsOf(join(directory, name)))];
}

/** Removes a group and all below it. True when it is gone; false while something is still in it. */
export function removeGroup(directory: string): boolean {
  try {
    for (const name of groupsIn(directory)) removeGroup(join(directory, name));
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENODEV")) return true;
    if (isSystemError(error, "EBUSY", "ENOTEMPTY")) return false;
    throw error;
  }
}
