import { execFile } from "node:child_process";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { isSystemError } from "../errors.ts";
import { syncDirectory } from "../lib/atomic-file.ts";
import { partPath, temporaryPath } from "./names.ts";

const run = promisify(execFile);
const program = "/usr/bin/fallocate"; // of util-linux
const chunkBytes = 1024 * 1024;

/** The log became shorter while it was cut: its app began it anew. */
export class ShortenedError extends Error {}

/** Where the log lies, nothing can be cut off. */
export class CannotPunchError extends Error {}

/**
 * Moves the bytes of a log from `from` up to `to`, a multiple of the block size, into a part of their own, while its
 * app goes on writing. At every moment each byte is in the log, in the part, or in both; a power cut changes nothing
 * of that. Rejects when the file system cannot punch holes; the log is then as it was.
 */
export async function cutOff(log: string, from: number, to: number): Promise<void> {
  const part = partPath(log, from);
  await copyRange(log, temporaryPath(part), from, to);
  await rename(temporaryPath(part), part);
  await syncDirectory(dirname(part));
  try {
    await punch(log, to);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function copyRange(log: string, copy: string, from: number, to: number): Promise<void> {
  await using source = await open(log, "r");
  await using target = await open(copy, "w", 0o600);
  const chunk = Buffer.alloc(Math.min(chunkBytes, to - from));
  for (let at = from; at < to; ) {
    const { bytesRead } = await source.read(chunk, 0, Math.min(chunk.length, to - at), at);
    if (bytesRead === 0) throw new ShortenedError(`${log} became shorter while it was cut`);
    await target.write(chunk, 0, bytesRead);
    at += bytesRead;
  }
  await target.sync();
  // Whoever shortens it now writes from its beginning on: nothing of that may be punched away.
  if ((await source.stat()).size < to) throw new ShortenedError(`${log} became shorter while it was cut`);
}

/**
 * Gives the bytes of a file before an offset back to the file system, fallocate(1). Its size stays, and so does what
 * follows: who appends to it does not notice. Rejects with `CannotPunchError` when that can never be done here.
 */
export async function punch(log: string, to: number): Promise<void> {
  const range = ["--punch-hole", "--offset", "0", "--length", String(to)];
  try {
    await run(program, [...range, log], { env: { LC_ALL: "C" } });
  } catch (cause) {
    const { message } = cause as Error;
    if (isSystemError(cause, "ENOENT")) throw new CannotPunchError(`${program} is not there`, { cause });
    if (/not supported/i.test(message)) throw new CannotPunchError(message, { cause });
    throw new Error(message, { cause });
  }
}
