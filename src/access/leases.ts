import { MaestroError } from "../errors.ts";

/** Who sends: sessions of one owner share a lease. `who` is for people. */
export type Sender = { owner: string; who: string };
export type LeaseRequest = { wait: boolean; signal?: AbortSignal | undefined };

/** Whoever was cut off and tries again at once meets himself: until the server has noticed, ms. */
const ownMs = 3000;

type Lease = Sender & { since: string; holders: number; freed: PromiseWithResolvers<void> };

/**
 * Whose turn it is to change what lies in an app's incoming/: from the first file until the restart has been answered,
 * so that no release is ever made of two people's files.
 */
export class Leases {
  readonly #held = new Map<string, Lease>();

  /** Throws `BUSY` when somebody else has it, or, with `wait`, waits. */
  async take(app: string, sender: Sender, request: LeaseRequest): Promise<Disposable> {
    await this.untilFree(app, sender, request);
    const lease = this.#held.get(app) ?? this.#grant(app, sender);
    lease.holders++;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#release(app, lease);
        isHeld = false;
      },
    };
  }

  /** Resolves when nobody but the sender has it. Throws `BUSY` when somebody has, and he does not want to wait. */
  async untilFree(app: string, { owner, who }: Sender, { wait, signal }: LeaseRequest): Promise<void> {
    const patience = AbortSignal.timeout(ownMs);
    for (;;) {
      const lease = this.#held.get(app);
      if (lease === undefined || lease.owner === owner) return;
      const mayEnd = wait || (lease.who === who && !patience.aborted);
      if (!mayEnd) throw busy(app, lease);
      await Promise.race([lease.freed.promise, aborted(signal), ...(wait ? [] : [aborted(patience)])]);
      signal?.throwIfAborted();
    }
  }

  #grant(app: string, sender: Sender): Lease {
    const since = new Date().toISOString();
    const lease = { ...sender, since, holders: 0, freed: Promise.withResolvers<void>() };
    this.#held.set(app, lease);
    return lease;
  }

  #release(app: string, lease: Lease): void {
    lease.holders--;
    if (lease.holders > 0) return;
    this.#held.delete(app);
    lease.freed.resolve();
  }
}

async function aborted(signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal?.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

function busy(app: string, { who, since }: Lease): MaestroError {
  return new MaestroError(
    "BUSY",
    `${who} deploys ${app} since ${since}; wait for it with --wait, or try again`,
    { app, by: who, since },
  );
}
