import type { Refusal } from "./refusal.ts";
import type { Routes } from "./routes.ts";

/** Requests held for one app at a time. Each holds a connection: one app must not use up all of them. */
const mostHeld = 1000;

/** The patience with an app on behalf of one request. Its limit is for all of its waits together. */
export type Hold = Disposable & {
  /**
   * Resolves at the next change of the app's route. Throws `refusal()` when the limit has passed or too many are
   * waiting, and the reason of the client's signal.
   */
  untilChanged(app: string, refusal: () => Refusal): Promise<void>;
};

type Waiter = () => void;

/** Keeps requests waiting while an app is being started, so that nobody sees the gap. */
export class Holding {
  readonly #holdMs: number;
  readonly #waiting = new Map<string, Set<Waiter>>();

  constructor(routes: Routes, holdMs: number) {
    this.#holdMs = holdMs;
    routes.watch((apps) => {
      for (const app of apps) for (const wake of [...(this.#waiting.get(app) ?? [])]) wake();
    });
  }

  begin(client: AbortSignal): Hold {
    let timer: NodeJS.Timeout | undefined;
    const limit = new AbortController();
    return {
      untilChanged: (app, refusal) => {
        timer ??= setTimeout(() => limit.abort(), this.#holdMs);
        return this.#wait(app, refusal, client, limit.signal);
      },
      [Symbol.dispose]: () => clearTimeout(timer),
    };
  }

  async #wait(app: string, refusal: () => Refusal, client: AbortSignal, limit: AbortSignal): Promise<void> {
    client.throwIfAborted();
    const waiters = this.#waiting.get(app) ?? new Set();
    this.#waiting.set(app, waiters);
    if (limit.aborted || waiters.size >= mostHeld) throw refusal();
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
      if (waiters.size === 0) this.#waiting.delete(app);
    }
  }
}
