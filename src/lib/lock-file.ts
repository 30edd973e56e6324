import { once } from "node:events";
import { lstat, mkdir, readlink, rm, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isSystemError } from "../errors.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "./processes.ts";

/** Thrown when another process that is alive holds the lock. */
export class LockedError extends Error {
  readonly pid: number;
  constructor(path: string, pid: number) {
    super(`${path} is held by process ${pid}`);
    this.pid = pid;
  }
}

/**
 * Takes a lock that dies with this process: a symbolic link "PID:STARTTIME", which only one of several can make, and
 * which needs no room on a full disk. A holder that is gone, or whose pid is a stranger's by now, holds nothing.
 */
export async function takeLock(path: string): Promise<AsyncDisposable> {
  const me = ownIdentity();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Two that find the same dead holder must not both put themselves in its place.
  await using _turn = await turnAt(path);
  const holder = await lockHolder(path);
  // The same pid and start time: this very process, before it replaced itself by execve.
  if (holder && holder.pid !== me.pid && isAlive(holder)) throw new LockedError(path, holder.pid);
  await rm(path, { force: true });
  await symlink(`${me.pid}:${me.startTime}`, path);
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

/** Who took a lock, whether it still lives or not; null when nobody did. */
export async function lockHolder(path: string): Promise<ProcessIdentity | null> {
  const text = await readlink(path).catch(() => ""); // Not there, or not a lock that anybody could have made.
  const [, pid, startTime] = /^(\d{1,10}):(\d{1,20})$/.exec(text) ?? [];
  return startTime === undefined ? null : { pid: Number(pid), startTime };
}

/** How long somebody else may take over looking at a lock, ms. Then whoever it is does not look at it. */
const turnMs = 5000;

/**
 * The right to look at a lock and change it: an abstract unix socket (unix(7)), which the kernel gives to one process
 * at a time and takes back when that ends. Somebody who keeps the name for himself holds this up, and no more.
 */
async function turnAt(path: string): Promise<AsyncDisposable> {
  const { dev, ino } = await lstat(dirname(path));
  const name = `\0maestro-lock:${dev}:${ino}`;
  const deadline = performance.now() + turnMs;
  for (;;) {
    const server = createServer();
    try {
      server.listen(name);
      await once(server, "listening");
      return { [Symbol.asyncDispose]: async () => void server.close() };
    } catch (error) {
      if (!isSystemError(error, "EADDRINUSE")) throw error;
      if (performance.now() > deadline) return { [Symbol.asyncDispose]: async () => {} };
      await pause(10);
    }
  }
}
