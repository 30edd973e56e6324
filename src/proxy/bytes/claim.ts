import type { UpstreamConnection } from "../../http/pool.ts";
import type { Reader, Wire } from "../../http/wire.ts";
import type { Upstream } from "../../protocol/worker.ts";
import type { Bounds } from "../bounds.ts";
import type { Lease } from "../lease.ts";
import type { Passage } from "../passage.ts";
import type { Place } from "../routes.ts";
import type { ComposedRequest } from "./composed.ts";
import type { Pools } from "./pools.ts";
import { strip } from "./strip.ts";

/** What an exchange has of an instance, until it is given back: the lease, and a connection. */
export class Claim {
  readonly place: Place;
  readonly bounds: Bounds;
  /** The connection has carried other requests before: the instance may have closed it meanwhile. */
  readonly isReused: boolean;
  readonly #lease: Lease;
  #upstream: UpstreamConnection | null;

  constructor({ lease, place, connected }: Passage<UpstreamConnection>, pools: Pools) {
    this.place = place;
    this.bounds = place.route.bounds;
    this.isReused = connected === undefined;
    this.#lease = lease;
    this.#upstream = connected ?? pools.takeIdle(lease.upstream);
  }

  get instance(): Upstream {
    return this.#lease.upstream;
  }

  /** To the instance; null when the exchange has it no more. */
  get wire(): Wire | null {
    return this.#upstream?.wire ?? null;
  }

  /** Sends the request; from here on `reader` is told what comes. False when nobody is there to take it. */
  ask({ bytes }: ComposedRequest, reader: Reader): boolean {
    const upstream = this.#upstream;
    if (!upstream) return false;
    upstream.lend(reader);
    const { stripped } = this.place;
    upstream.wire.write(stripped === "" ? bytes : strip(bytes, stripped));
    return upstream.wire.isOpen;
  }

  answered(): void {
    this.#lease.answered();
  }

  failed(): void {
    this.#lease.failed();
  }

  becomeStream(): void {
    this.#lease.becomeStream();
  }

  /** The connection is a tunnel from here on; the lease lasts until that ends. */
  giveAway(): Wire | null {
    const upstream = this.#upstream;
    this.#upstream = null;
    return upstream?.giveAway() ?? null;
  }

  /** `isKept`: the connection may carry another request. */
  giveBack(isKept: boolean): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.giveBack(isKept);
    this.#lease.release();
  }
}
