import type { Refusal } from "./refusal.ts";
import type { Routes } from "./routes.ts";

/** Held for one app at a time by one worker: one app must not use up all connections, nor all memory. */
const most = { requests: 1000, bytes: 96 * 1024 * 1024 };

/** The patience with an app on behalf of one request. Its limit is for all of its waits together. */
export type Hold = Disposable & {
  /**
   * Resolves at the next change of the app's route. Throws `refusal()` when the limit has passed or too many are
   * waiting, and the reason of the client's signal. The limit is `ms`, or that of all apps, from the first wait on.
   */
  untilChanged(app: string, refusal: () => Refusal, ms?: number): Promise<void>;
};

/** Who waits for an app, to be woken, and the memory of all of them. */
type Waiting = { waiters: Set<() => void>; bytes: number };

/** Keeps requests waiting while an app is being started, so that nobody sees the gap. */
export class Holding {
  readonly #holdMs: number;
  readonly #waiting = new Map<string, Waiting>();

  constructor(routes: Routes, holdMs: number) {
    this.#holdMs = holdMs;
    routes.watch((apps) => {
      for (const app of apps) for (const wake of [...(this.#waiting.get(app)?.waiters ?? [])]) wake();
    });
  }

  /** `bytes`: the memory that the request takes while it waits. */
  begin(client: AbortSignal, bytes: number): Hold {
    let timer: NodeJS.Timeout | undefined;
    const limit = new AbortController();
    return {
      untilChanged: (app, refusal, ms = this.#holdMs) => {
        timer ??= setTimeout(() => limit.abort(), ms);
        return this.#wait(app, bytes, refusal, client, limit.signal);
      },
      [Symbol.dispose]: () => clearTimeout(timer),
    };
  }

  async #wait(
    app: string,
    bytes: number,
    refusal: () => Refusal,
    client: AbortSignal,
    limit: AbortSignal,
  ): Promise<void> {
    client.throwIfAborted();
    const waiting = this.#waiting.get(app) ?? { waiters: new Set(), bytes: 0 };
    const { waiters } = waiting;
    const isFull = waiters.size >= most.requests || waiting.bytes + bytes > most.bytes;
    if (limit.aborted || isFull) throw refusal();
    this.#waiting.set(app, waiting);
    waiting.bytes += bytes;
    const { promise: changed, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => reject(refusal());
    const leave = () => reject(client.reason);
    waiters.add(resolve);
    limit.addEventListener("abort", giveUp);
    client.addEventListener("abort", leave);
    try {
      await changed;
    } finally {
      limit.removeEventListener("abort", giveUp);
      client.removeEventListener("abort", leave);
      waiters.delete(resolve);
      waiting.bytes -= bytes;
      if (waiters.size === 0) this.#waiting.delete(app);
    }
  }
}
