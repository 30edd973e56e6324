import { type Deadlines, never, type Timed } from "../http/deadlines.ts";
import type { Upstream } from "../protocol/worker.ts";
import { isWell } from "./checks.ts";
import { type Leases, mostFailures } from "./leases.ts";
import type { Route } from "./routes.ts";

type Watching = { deadlines: Deadlines; leases: Leases };

/**
 * Asks instances every so often while they serve: one that hangs has taken requests which nobody has seen fail yet, and one
 * that says by itself that it is not well may go on answering. Only where others can take its requests.
 */
export class ActiveChecks {
  readonly #watching: Watching;
  readonly #watched = new Map<string, Watched>();

  constructor(watching: Watching) {
    this.#watching = watching;
  }

  /** After each change of routes. */
  keepUp(routes: Iterable<Route>): void {
    const kept = new Set<string>();
    for (const route of routes) {
      if (route.settings?.check?.everyMs === undefined || route.upstreams.length < 2) continue;
      for (const upstream of route.upstreams) {
        kept.add(upstream.instance);
        const known = this.#watched.get(upstream.instance);
        if (known) known.route = route;
        else this.#watched.set(upstream.instance, new Watched(upstream, route, this.#watching));
      }
    }
    for (const [instance, watched] of this.#watched) {
      if (kept.has(instance)) continue;
      this.#watched.delete(instance);
      watched.end();
    }
  }
}

class Watched implements Timed {
  route: Route;
  dueAt: number;
  readonly #upstream: Upstream;
  readonly #watching: Watching;
  /** In a row. */
  #failures = 0;
  #hasEnded = false;

  constructor(upstream: Upstream, route: Route, watching: Watching) {
    this.#upstream = upstream;
    this.route = route;
    this.#watching = watching;
    // Not all of them, and not all workers, at the same moment.
    this.dueAt = watching.deadlines.in(this.#everyMs * Math.random());
    watching.deadlines.add(this);
  }

  onDue(): void {
    void this.#ask();
  }

  end(): void {
    this.#hasEnded = true;
    this.#watching.deadlines.delete(this);
  }

  get #everyMs(): number {
    return this.route.settings?.check?.everyMs ?? never;
  }

  /** One that is out is asked by whoever puts it back. */
  async #ask(): Promise<void> {
    const { deadlines, leases } = this.#watching;
    const isGood = leases.isOut(this.#upstream) || (await isWell(this.#upstream, this.route));
    if (this.#hasEnded) return;
    this.dueAt = deadlines.in(this.#everyMs);
    this.#failures = isGood ? 0 : this.#failures + 1;
    if (this.#failures < mostFailures) return;
    this.#failures = 0;
    leases.takeOut(this.#upstream);
  }
}
