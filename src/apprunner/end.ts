import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import { constants as os } from "node:os";
import { join } from "node:path";
import type { Exit } from "../app/instance.ts";
import { isSystemError } from "../errors.ts";
import { poll } from "../lib/poll.ts";
import { isAlive, type ProcessIdentity } from "../lib/processes.ts";
import { instanceFiles } from "../protocol/instance-files.ts";
import type { Cgroup } from "./cgroup/cgroup.ts";

export const unseen: Exit = { code: null, signal: null };

/**
 * Resolves when a process has ended, with what its shim wrote down and whether it was for want of memory. Never
 * rejects. It holds no thread, and does not keep this process alive.
 */
export async function endOf(
  runDirectory: string,
  identity: ProcessIdentity,
  cgroup: Cgroup | null,
): Promise<Exit> {
  const exit = await endAsWritten(runDirectory, identity);
  return { ...exit, ...wantOfMemory(cgroup, exit) };
}

/** An app may lose one of its processes for memory and go on: what counts is that it did not end by itself. */
export function wantOfMemory(cgroup: Cgroup | null, { code }: Exit): Pick<Exit, "memory"> {
  if (!cgroup?.oomKills() || code === 0) return {};
  return { memory: { limit: cgroup.memoryLimit(), peak: cgroup.usage().memory?.peak ?? null } };
}

async function endAsWritten(runDirectory: string, identity: ProcessIdentity): Promise<Exit> {
  await endOfShim(join(runDirectory, instanceFiles.alive));
  const exit = await readExit(runDirectory);
  if (exit !== null) return exit;
  // The shim was killed and the app lives on, or dies unseen.
  await poll(() => (isAlive(identity) ? null : true), { first: 5, most: 1000 }, { ref: false });
  return (await readExit(runDirectory)) ?? unseen;
}

/** What the shim wrote down; null when it has not, or what is there is not its line. */
export async function readExit(runDirectory: string): Promise<Exit | null> {
  const text = await readFile(join(runDirectory, instanceFiles.exit), "utf8").catch(() => "");
  const status = /^(\d{1,3})\n$/.exec(text)?.[1];
  return status === undefined ? null : exitOf(Number(status));
}

const signalNames = new Map(Object.entries(os.signals).map(([name, number]) => [number, name]));

/** A POSIX shell's `$?`: above 128 it stands for a signal. */
export function exitOf(status: number): Exit {
  const signal = signalNames.get(status - 128) as NodeJS.Signals | undefined;
  return signal === undefined ? { code: status, signal: null } : { code: null, signal };
}

/** Resolves when nobody holds the FIFO open for writing: the shim has ended, or never was. */
async function endOfShim(path: string): Promise<void> {
  const fifo = openFifo(path);
  if (fifo === null) return;
  if (!hasWriter(fifo)) return closeSync(fifo);
  const socket = new Socket({ fd: fifo, readable: true, writable: false });
  socket.unref();
  await new Promise((resolve) => {
    socket.on("error", () => {}); // 'close' follows; an unreadable FIFO tells as much as an ended one
    socket.once("close", resolve);
    socket.resume();
  });
}

function openFifo(path: string): number | null {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (fstatSync(file).isFIFO()) return file;
    closeSync(file);
    return null;
  } catch {
    return null; // not there, or not to be read: then the process itself has to be watched
  }
}

/** epoll(7) tells nothing of a FIFO that had no writer when it was opened; reading it does. */
function hasWriter(fifo: number): boolean {
  try {
    return readSync(fifo, Buffer.alloc(1)) > 0;
  } catch (error) {
    return isSystemError(error, "EAGAIN");
  }
}
