import { readFile } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeAtomic } from "../../lib/atomic-file.ts";
import type { Side } from "./sequences.ts";

/** From where a database was last served, as it stands on the disk. */
export async function readSide(path: string): Promise<Side> {
  try {
    const text = await readFile(path, "utf8");
    return z.object({ side: z.enum(["local", "remote"]) }).parse(JSON.parse(text)).side;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return "local";
    throw error;
  }
}

export async function writeSide(path: string, side: Side): Promise<void> {
  await writeAtomic(path, JSON.stringify({ v: 1, side }));
}
