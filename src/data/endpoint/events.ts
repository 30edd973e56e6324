import { readFile } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeAtomic } from "../../lib/atomic-file.ts";
import { Serializer } from "../../lib/serialize.ts";
import { DataEvent } from "../../protocol/data.ts";

const Stored = z.object({ v: z.literal(1), events: z.array(DataEvent) });
const mostEvents = 200;

/** Failing over and coming back, of all databases. Kept on the disk, so that a controller which was away is told too. */
export class Events {
  readonly #path: string;
  readonly #turns = new Serializer<"write">();
  #events: DataEvent[];
  #added = Promise.withResolvers<void>();

  private constructor(path: string, events: DataEvent[]) {
    this.#path = path;
    this.#events = events;
  }

  static async open(path: string): Promise<Events> {
    try {
      return new Events(path, Stored.parse(JSON.parse(await readFile(path, "utf8"))).events);
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return new Events(path, []);
      throw error;
    }
  }

  async add(event: Omit<DataEvent, "n" | "at">): Promise<void> {
    const n = (this.#events.at(-1)?.n ?? 0) + 1;
    this.#events = [...this.#events.slice(1 - mostEvents), { n, at: new Date().toISOString(), ...event }];
    this.#added.resolve();
    this.#added = Promise.withResolvers();
    await this.#turns.run("write", () =>
      writeAtomic(this.#path, JSON.stringify({ v: 1, events: this.#events })),
    );
  }

  /** The latest last. */
  of(app: string): DataEvent[] {
    return this.#events.filter((event) => event.app === app).slice(-20);
  }

  /** Those after one; resolves when there are any. */
  async after(n: number): Promise<DataEvent[]> {
    for (;;) {
      const later = this.#events.filter((event) => event.n > n);
      if (later.length > 0) return later;
      await this.#added.promise;
    }
  }
}
