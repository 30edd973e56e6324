import { setImmediate as endOfTurn } from "node:timers/promises";
import { isSystemError } from "../errors.ts";
import type { Upstream } from "../protocol/worker.ts";
import type { Holding } from "./hold.ts";
import type { Lease, LeaseKind, Leases } from "./lease.ts";
import { away, Refusal } from "./refusal.ts";
import type { Route, Routes } from "./routes.ts";

/** The connections to instances that one of the paths keeps. */
export type Connections<Connection> = {
  hasIdle(upstream: Upstream): boolean;
  /** Rejects with the system error, or with the signal's reason. */
  connect(upstream: Upstream, signal: AbortSignal): Promise<Connection>;
};

/** A claimed instance, and a connection to it on which nothing has been sent yet. */
export type Passage<Connection> = {
  lease: Lease;
  /** A new connection. Without one, an idle connection is there. */
  connected?: Connection;
};

export type PassagesOptions<Connection extends { destroy(): void }> = {
  routes: Routes;
  leases: Leases;
  holding: Holding;
  connections: Connections<Connection>;
  connectMs: number;
};

/** Failures to connect that end when the instance is replaced, or gets to accept. */
const notListening = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT"];

/** From a hostname to an instance that listens. Whoever has a passage has not sent a byte yet. */
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
    host: string,
    client: () => AbortSignal,
    repeatable: boolean,
  ): Passage<Connection> | Promise<Passage<Connection>> {
    const lease = this.#options.leases.claim(this.#find(host), "request");
    if (!lease || !this.#hasIdle(lease)) return this.open(host, "request", client(), lease);
    return repeatable ? { lease } : this.#lookTwice(host, client(), lease);
  }

  /** By then everything has been read that had come when this was called: an end of the connection, too. */
  async #lookTwice(host: string, client: AbortSignal, lease: Lease): Promise<Passage<Connection>> {
    await endOfTurn(); // What is read in this turn of the event loop was asked for before.
    await endOfTurn();
    return !client.aborted && this.#hasIdle(lease) ? { lease } : this.open(host, "request", client, lease);
  }

  #hasIdle({ upstream }: Lease): boolean {
    return this.#options.connections.hasIdle(upstream);
  }

  /**
   * Over a new connection. While no instance accepts one, waits for the app's route to change, within the limit of
   * `holding`. Throws a `Refusal`, or the reason of `client`, whose end nobody has to be answered after.
   */
  async open(
    host: string,
    kind: LeaseKind,
    client: AbortSignal,
    claimed: Lease | null = null,
  ): Promise<Passage<Connection>> {
    const { leases, holding } = this.#options;
    const refused = new Set<string>();
    using unused = new DisposableStack();
    if (claimed) unused.use(claimed);
    using hold = holding.begin(client);
    for (let first = claimed; ; first = null) {
      const route = this.#find(host);
      const lease = first ?? leases.claim(route, kind, refused);
      if (first) unused.move(); // From here on whoever connects releases it.
      if (!lease) {
        await hold.untilChanged(route.app, () => unavailable(host, route));
        refused.clear();
        continue;
      }
      const connected = await this.#connect(host, lease, client);
      if (connected) return { lease, connected };
      refused.add(lease.upstream.instance);
    }
  }

  #find(host: string): Route {
    const route = this.#options.routes.find(host);
    if (!route) throw new Refusal(404, `host '${host}' not found on this server.`);
    if (route.state === "away") throw away(host);
    return route;
  }

  /** Null when nobody listens there, and when it has left the route before. The lease is kept only with a connection. */
  async #connect(host: string, lease: Lease, client: AbortSignal): Promise<Connection | null> {
    const limit = AbortSignal.timeout(this.#options.connectMs);
    using gone = this.#untilGone(host, lease);
    const { connections } = this.#options;
    let connected: Connection | undefined;
    try {
      connected = await connections.connect(lease.upstream, AbortSignal.any([client, limit, gone.signal]));
      client.throwIfAborted();
      return connected;
    } catch (cause) {
      lease.release();
      connected?.destroy();
      client.throwIfAborted();
      if (gone.signal.aborted) return null;
      if (limit.aborted) throw new Refusal(504, "The app did not answer in time.", { cause });
      if (isSystemError(cause, ...notListening)) return null;
      throw new Refusal(502, "The app cannot be reached.", { cause });
    }
  }

  /** Aborts when the instance is no longer one of the route. At a port that nobody answers on, nothing else would tell. */
  #untilGone(host: string, { upstream }: Lease): Gone {
    const { routes } = this.#options;
    const gone = new AbortController();
    const isRouted = () =>
      routes.find(host)?.upstreams.some(({ instance }) => instance === upstream.instance) ?? false;
    const unwatch = routes.watch(() => isRouted() || gone.abort());
    return { signal: gone.signal, [Symbol.dispose]: unwatch };
  }
}

type Gone = Disposable & { signal: AbortSignal };

function unavailable(host: string, { state }: Route): Refusal {
  return state === "serving" ? new Refusal(502, `${host} does not accept connections.`) : away(host);
}
