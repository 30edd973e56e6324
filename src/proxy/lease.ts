import type { Upstream } from "../protocol/worker.ts";
import type { Drain } from "./drain.ts";

/** A request is waited for until it is answered; a stream (WebSocket, event stream) has no such end. */
export type LeaseKind = "request" | "stream";

/** The right to send one exchange to an instance, from before the first byte until after the last. */
export type Lease = Disposable & {
  readonly upstream: Upstream;
  /** A request whose answer turns out to be an event stream. */
  becomeStream(): void;
  /** The instance has begun to answer: it is well. */
  answered(): void;
  /** It did not accept, or broke off, or let the time pass. Several times in a row, it is taken out. */
  failed(): void;
  /** Once; later calls do nothing. */
  release(): void;
};

export type Instance = {
  requests: number;
  streams: number;
  drains: Set<Drain>;
  /** In a row. */
  failures: number;
  /** It gets no requests while others can take them. */
  isOut: boolean;
  /** It may be claimed again: what is known of it stays while nothing is under way. */
  isKept: boolean;
};

/** Who counts what is under way. */
export type Ledger = {
  /** An instance has failed: the last of several times in a row, it is taken out. */
  noteFailure(upstream: Upstream, instance: Instance): void;
  /** Something has ended, or has turned out to be a stream. */
  changed(upstream: Upstream, instance: Instance): void;
};

export class Claimed implements Lease {
  readonly upstream: Upstream;
  readonly #instance: Instance;
  readonly #ledger: Ledger;
  #kind: LeaseKind | "released";

  constructor(upstream: Upstream, instance: Instance, kind: LeaseKind, ledger: Ledger) {
    this.upstream = upstream;
    this.#instance = instance;
    this.#kind = kind;
    this.#ledger = ledger;
    this.#count(1);
  }

  becomeStream(): void {
    if (this.#kind !== "request") return;
    this.#count(-1);
    this.#kind = "stream";
    this.#count(1);
    this.#ledger.changed(this.upstream, this.#instance);
  }

  answered(): void {
    this.#instance.failures = 0;
  }

  failed(): void {
    this.#ledger.noteFailure(this.upstream, this.#instance);
  }

  release(): void {
    if (this.#kind === "released") return;
    this.#count(-1);
    this.#kind = "released";
    this.#ledger.changed(this.upstream, this.#instance);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #count(by: 1 | -1): void {
    if (this.#kind === "stream") this.#instance.streams += by;
    else this.#instance.requests += by;
  }
}
