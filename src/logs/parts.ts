import { stat } from "node:fs/promises";
import { isSystemError } from "../errors.ts";
import { partPath, sideFilesOf } from "./names.ts";

/** A file that holds a log's bytes from `start` up to, not including, `end`. */
export type Part = { path: string; start: number; end: number };

/** A hole in a file consists of whole blocks. No file system of today has larger ones by default. */
export const blockBytes = 4096;

export const wholeBlocks = (bytes: number): number => bytes - (bytes % blockBytes);

/** The parts of a log that are there, oldest first. */
export async function partsOf(log: string): Promise<Part[]> {
  const starts = (await sideFilesOf(log)).map((path) => path.slice(log.length + 1)).filter(isOffset);
  const parts = await Promise.all(starts.map((start) => partAt(log, Number(start))));
  return parts.filter((part) => part !== null).sort((a, b) => a.start - b.start);
}

const isOffset = (text: string) => /^\d+$/.test(text);

async function partAt(log: string, start: number): Promise<Part | null> {
  const path = partPath(log, start);
  try {
    return { path, start, end: start + (await stat(path)).size };
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return null; // the oldest goes when a new one comes
    throw error;
  }
}

const zeros = Buffer.alloc(blockBytes);

/** Whether bytes, at most a block of them, are what a hole reads as. */
export const isHole = (bytes: Buffer): boolean => bytes.equals(zeros.subarray(0, bytes.length));
