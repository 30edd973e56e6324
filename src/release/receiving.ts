import { rm } from "node:fs/promises";
import { z } from "zod";
import { writeWhole } from "../lib/atomic-file.ts";
import { readJson } from "./manifest.ts";
import type { Places } from "./places.ts";

/** Who began to send an app's code and has not said that all of it is there, and since when (ISO 8601). */
export const Receiving = z.object({ v: z.literal(1), by: z.string(), since: z.string() });
export type Receiving = z.infer<typeof Receiving>;

/** From here on, until it has been received, nobody can say whether incoming/ holds the whole of anything. */
export async function beginReceiving({ receiving }: Places, by: string): Promise<void> {
  await writeWhole(receiving, `${JSON.stringify({ v: 1, by, since: new Date().toISOString() })}\n`);
}

export async function endReceiving({ receiving }: Places): Promise<void> {
  await rm(receiving, { force: true });
}

/** Null when all that was sent is there. */
export const receivingOf = ({ receiving }: Places): Promise<Receiving | null> =>
  readJson(receiving, Receiving);
