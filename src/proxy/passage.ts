import { setImmediate as endOfTurn } from "node:timers/promises";
import { isSystemError } from "../errors.ts";
import type { Upstream } from "../protocol/worker.ts";
import type { Holding } from "./hold.ts";
import type { Lease, LeaseKind } from "./lease.ts";
import type { Leases } from "./leases.ts";
import { Maintenance } from "./maintenance.ts";
import type { Asked } from "./mounts.ts";
import { away, Refusal, tooLarge } from "./refusal.ts";
import type { Place, Route, Routes } from "./routes.ts";
import { stickyInstance, stickyName } from "./sticky.ts";

/** The connections to instances that one of the paths keeps. */
export type Connections<Connection> = {
  hasIdle(upstream: Upstream): boolean;
  /** Rejects with the system error, or with the signal's reason. */
  connect(upstream: Upstream, signal: AbortSignal): Promise<Connection>;
};

/** A claimed instance, and a connection to it on which nothing has been sent yet. */
export type Passage<Connection> = {
  lease: Lease;
  place: Place;
  /** A new connection. Without one, an idle connection is there. */
  connected?: Connection;
};

/** Nobody needs it any more, and nothing has been sent. */
export function dropPassage({ lease, connected }: Passage<{ destroy(): void }>): void {
  lease.release();
  connected?.destroy();
}

export type PassagesOptions<Connection extends { destroy(): void }> = {
  routes: Routes;
  leases: Leases;
  holding: Holding;
  connections: Connections<Connection>;
};

/** Failures to connect that end when the instance is replaced, or gets to accept. */
const notListening = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT"];

/** From what is asked for to an instance that listens. Whoever has a passage has not sent a byte yet. */
export class Passages<Connection extends { destroy(): void }> {
  readonly #options: PassagesOptions<Connection>;

  constructor(options: PassagesOptions<Connection>) {
    this.#options = options;
  }

  /**
   * For a request: at once over an idle connection where there is one, else as `open`. An idle connection has to be
   * used before anything else runs. Throws a `Refusal` for a host that is unknown or away.
   *
   * One that is not repeatable could not be sent again if the connection turned out closed: it looks twice.
   */
  take(
    asked: Asked,
    client: () => AbortSignal,
    repeatable: boolean,
  ): Passage<Connection> | Promise<Passage<Connection>> {
    const place = this.#find(asked);
    const { route } = place;
    const lease = route.mode ? null : this.#claim(asked, place, "request");
    if (!lease || !this.#hasIdle(lease)) return this.open(asked, "request", client(), lease);
    return repeatable ? { lease, place } : this.#lookTwice(asked, client(), { lease, place });
  }

  /** By then everything has been read that had come when this was called: an end of the connection, too. */
  async #lookTwice(
    asked: Asked,
    client: AbortSignal,
    passage: Passage<Connection>,
  ): Promise<Passage<Connection>> {
    await endOfTurn(); // What is read in this turn of the event loop was asked for before.
    await endOfTurn();
    const { lease } = passage;
    return !client.aborted && this.#hasIdle(lease) ? passage : this.open(asked, "request", client, lease);
  }

  #hasIdle({ upstream }: Lease): boolean {
    return this.#options.connections.hasIdle(upstream);
  }

  /**
   * Over a new connection. While no instance accepts one, waits for the app's route to change, within the limit of
   * `holding`. Throws a `Refusal`, or the reason of `client`, whose end nobody has to be answered after.
   */
  async open(
    asked: Asked,
    kind: LeaseKind,
    client: AbortSignal,
    claimed: Lease | null = null,
  ): Promise<Passage<Connection>> {
    const { holding } = this.#options;
    const refused = new Set<string>();
    using unused = new DisposableStack();
    if (claimed) unused.use(claimed);
    using hold = holding.begin(client, asked.heldBytes);
    for (let first = claimed; ; first = null) {
      const place = this.#find(asked);
      const { route } = place;
      const lease = first ?? (route.mode ? null : this.#claim(asked, place, kind, refused));
      if (first) unused.move(); // From here on whoever connects releases it.
      if (!lease) {
        const { app, mode } = route;
        const holdMs = mode?.kind === "paused" ? mode.holdMs : undefined;
        await hold.untilChanged(app, () => unavailable(asked.host, route), holdMs);
        refused.clear();
        continue;
      }
      const connected = await this.#connect(asked, lease, client, route.bounds.connectMs);
      if (connected) return { lease, place, connected };
      refused.add(lease.upstream.instance);
    }
  }

  #claim(asked: Asked, place: Place, kind: LeaseKind, refused?: ReadonlySet<string>): Lease | null {
    const preferred = place.route.settings?.sticky ? stickyInstance(place, stickyName(asked, place)) : null;
    return this.#options.leases.claim(place.route, kind, refused, preferred);
  }

  #find(asked: Asked): Place {
    const place = this.#options.routes.find(asked);
    if (!place) throw new Refusal(404, `host '${asked.host}' not found on this server.`);
    asked.place = place;
    const { mode, state, bounds } = place.route;
    if (asked.bodyLength > bounds.maxBody) throw tooLarge(bounds);
    if (mode?.kind === "maintenance") throw new Maintenance(mode.message);
    if (state === "away" && !mode) throw away(asked.host);
    return place;
  }

  /** Null when nobody listens there, and when it has left the route before. The lease is kept only with a connection. */
  async #connect(
    asked: Asked,
    lease: Lease,
    client: AbortSignal,
    withinMs: number,
  ): Promise<Connection | null> {
    const limit = AbortSignal.timeout(withinMs);
    using gone = this.#untilGone(asked, lease);
    const { connections } = this.#options;
    let connected: Connection | undefined;
    try {
      connected = await connections.connect(lease.upstream, AbortSignal.any([client, limit, gone.signal]));
      client.throwIfAborted();
      return connected;
    } catch (cause) {
      if (!client.aborted && !gone.signal.aborted) lease.failed();
      lease.release();
      connected?.destroy();
      client.throwIfAborted();
      if (gone.signal.aborted) return null;
      if (limit.aborted) throw new Refusal(502, "The app did not accept a connection in time.", { cause });
      if (isSystemError(cause, ...notListening)) return null;
      throw new Refusal(502, "The app cannot be reached.", { cause });
    }
  }

  /** Aborts when the instance is no longer one of the route. At a port that nobody answers on, nothing else would tell. */
  #untilGone(asked: Asked, { upstream }: Lease): Gone {
    const { routes } = this.#options;
    const gone = new AbortController();
    const unwatch = routes.watch(() => routes.leadsTo(asked, upstream.instance) || gone.abort());
    return { signal: gone.signal, [Symbol.dispose]: unwatch };
  }
}

type Gone = Disposable & { signal: AbortSignal };

function unavailable(host: string, { state, mode }: Route): Refusal {
  return state === "serving" && !mode ? new Refusal(502, `${host} does not accept connections.`) : away(host);
}
