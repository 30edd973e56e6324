import { setTimeout as pause } from "node:timers/promises";
import type { Account } from "../accounts.ts";
import { type Backend, basic } from "./backend.ts";
import type { OpenRequests } from "./open-requests.ts";
import type { Remote } from "./second-home.ts";
import type { Side } from "./sequences.ts";
import type { LocalServer } from "./servers.ts";
import type { Serving } from "./serving.ts";

/** A server that a request may go to. `release`: it is over. */
export type Admission = { backend: Backend; side: Side; authorization: string; release(): void };

/** How long requests are kept waiting for a decision, or while a database changes its home, ms. */
const holdMs = 3000;

export type AdmissionParts = {
  account: Account;
  local: LocalServer;
  remote: Remote | null;
  requests: OpenRequests;
  serving: Serving;
  /** The database is at the local server. */
  isThere(): boolean;
  /** Makes it there. False: that failed. */
  isProvisioned(): Promise<boolean>;
};

/** Where the requests to a database go. */
export class Admissions {
  readonly #parts: AdmissionParts;
  readonly #authorization: string;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    this.#authorization = basic(parts.account.app, parts.account.password);
  }

  /** Where a request goes at once; null when that is not clear: ask `admit`. */
  admitNow(): Admission | null {
    const { local, remote, serving, requests, isThere } = this.#parts;
    if (requests.areClosed) return null;
    if (remote !== null && serving.side === "remote")
      return remote.health.isWell ? this.#enter("remote", remote.backend) : null;
    return local.health.isWell && isThere() ? this.#enter("local", local.backend) : null;
  }

  /** Where a request goes now; waits while that is being decided. Null: nowhere, for the moment. */
  async admit(): Promise<Admission | null> {
    const { local, remote, serving, requests, isProvisioned } = this.#parts;
    const deadline = performance.now() + holdMs;
    do {
      await requests.reopened();
      const isAway = remote !== null && serving.side === "remote";
      const { health } = isAway ? remote : local;
      if (!(await health.known())) await this.#decided(deadline);
      else if ((isAway || (await isProvisioned())) && !requests.areClosed) {
        if (isAway && serving.side === "remote") return this.#enter("remote", remote.backend);
        if (!isAway && (remote === null || serving.side === "local"))
          return this.#enter("local", local.backend);
      }
    } while (performance.now() < deadline);
    return null;
  }

  #enter(side: Side, backend: Backend): Admission {
    const authorization = side === "local" ? this.#authorization : backend.authorization;
    return { backend, side, authorization, release: this.#parts.requests.enter() };
  }

  async #decided(deadline: number): Promise<void> {
    const { local, remote, serving } = this.#parts;
    const changes = [local.health.changed(), serving.changed(), ...(remote ? [remote.health.changed()] : [])];
    const late = new AbortController();
    const patience = pause(Math.max(0, deadline - performance.now()), undefined, { signal: late.signal });
    await Promise.race([...changes, patience]);
    patience.catch(() => {}); // It is over.
    late.abort();
  }
}
