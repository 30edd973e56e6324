import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { isSystemError } from "../errors.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "./processes.ts";

const Holder = z.object({ pid: z.int().min(1), startTime: z.string() });

/** Thrown when another process that is alive holds the lock. */
export class LockedError extends Error {
  readonly pid: number;
  constructor(path: string, pid: number) {
    super(`${path} is held by process ${pid}`);
    this.pid = pid;
  }
}

/**
 * Takes a lock that dies with this process: a file that names it, put in place by link(2), which only one of
 * several can do. A holder that is gone, or whose pid is a stranger's by now, holds nothing.
 */
export async function takeLock(path: string): Promise<AsyncDisposable> {
  const me = ownIdentity();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const mine = `${path}.${randomUUID()}`;
  await writeFile(mine, JSON.stringify(me), { mode: 0o600 });
  try {
    while (!(await claim(mine, path))) {
      const holder = await lockHolder(path);
      // The same pid and start time: this very process, before it replaced itself by execve.
      if (holder && holder.pid !== me.pid && isAlive(holder)) throw new LockedError(path, holder.pid);
      await rm(path, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

async function claim(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return false;
    throw error;
  }
}

/** Who took a lock, whether it still lives or not; null when nobody did. */
export async function lockHolder(path: string): Promise<ProcessIdentity | null> {
  try {
    return Holder.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null; // Gone, or not a lock that anybody could have written whole: nobody holds it.
  }
}
