import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { isSystemError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { backoff } from "../lib/backoff.ts";
import { connectChannel } from "../lib/channel.ts";
import { type DataEvent, endpointExchanges } from "../protocol/data.ts";

export type FollowOptions = {
  /** The endpoint's socket. */
  control: string;
  /** A file with the number of the last event that was told. */
  told: string;
  /** Called for each event once, also for those that happened while there was no controller. */
  tell(event: DataEvent): Promise<void>;
  /** Called with all that the endpoint still knows, told before or not. */
  learn(event: DataEvent): void;
};

/** Follows failing over and coming back, as the endpoint tells it, until the signal aborts. */
export async function followEvents(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const waits = backoff({ first: 200, most: 5000, jitter: 0.1 });
  while (!signal.aborted) {
    // The endpoint is being started, or has died: its controller says so.
    await followOnce(options, signal, () => waits.reset()).catch(() => {});
    await pause(waits.next(), undefined, { signal }).catch(() => {}); // Maestro ends
  }
}

async function followOnce(options: FollowOptions, signal: AbortSignal, onAnswer: () => void): Promise<void> {
  const channel = await connectChannel(options.control, endpointExchanges);
  const close = () => channel.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    for (let after = 0; !signal.aborted; ) {
      const events = await channel.ask("events", { after });
      onAnswer();
      await tellNew(options, events);
      after = events.at(-1)?.n ?? after;
    }
  } finally {
    signal.removeEventListener("abort", close);
    channel.close();
  }
}

async function tellNew({ told, tell, learn }: FollowOptions, events: readonly DataEvent[]): Promise<void> {
  const last = await readTold(told);
  // The endpoint counts anew when its record was lost.
  const from = last > (events.at(-1)?.n ?? 0) ? 0 : last;
  for (const event of events) {
    learn(event);
    if (event.n <= from) continue;
    await tell(event);
    await writeAtomic(told, JSON.stringify({ v: 1, n: event.n }));
  }
}

const Told = z.object({ v: z.literal(1), n: z.int() });

async function readTold(path: string): Promise<number> {
  try {
    return Told.parse(JSON.parse(await readFile(path, "utf8"))).n;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return 0;
    throw error;
  }
}
