import type { AppRoute, RoutesChange, Upstream } from "../protocol/worker.ts";

/** An app's route as it is in force. Replaced as a whole with each change that touches it. */
export type Route = AppRoute & {
  /** Where the next search for an upstream begins, so that equals take turns. */
  turn: number;
};

/** Which app a hostname belongs to, and where its traffic goes. Knows nothing of requests. */
export class Routes {
  readonly #byApp = new Map<string, Route>();
  #byHostname = new Map<string, Route>();
  readonly #watchers = new Set<(apps: ReadonlySet<string>) => void>();

  /** In force, as one, when it returns: nothing that runs in this process sees a part of it. */
  apply({ replace, put, remove }: RoutesChange): void {
    const touched = new Set([...remove, ...put.map(({ app }) => app)]);
    if (replace) for (const app of this.#byApp.keys()) touched.add(app);
    if (replace) this.#byApp.clear();
    for (const app of remove) this.#byApp.delete(app);
    for (const route of put) this.#put(route);
    this.#byHostname = byHostname(this.#byApp.values());
    for (const watcher of [...this.#watchers]) watcher(touched);
  }

  /** The route of a `Host` header, however it is written: with a port, in capitals, with a final dot. */
  find(host: string): Route | undefined {
    const name = hostnameOf(host);
    const exact = this.#byHostname.get(name);
    if (exact) return exact;
    for (let dot = name.indexOf("."); dot !== -1; dot = name.indexOf(".", dot + 1)) {
      const wildcard = this.#byHostname.get(`*${name.slice(dot)}`);
      if (wildcard) return wildcard;
    }
    return undefined;
  }

  table(): AppRoute[] {
    return [...this.#byApp.values()].map(({ turn: _, ...route }) => route);
  }

  /** Calls back after each change, with the apps that it touched, until the returned function is called. */
  watch(watcher: (apps: ReadonlySet<string>) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Every upstream that may be claimed at this moment. */
  upstreams(): Upstream[] {
    return [...this.#byApp.values()].flatMap(({ upstreams }) => upstreams);
  }

  /** A hostname that another app had moves: else it would fall back to it when this one leaves. */
  #put(route: AppRoute): void {
    const hostnames = new Set(route.hostnames.map(hostnameOf));
    for (const [app, other] of this.#byApp) {
      if (app === route.app || !other.hostnames.some((name) => hostnames.has(name))) continue;
      const kept = other.hostnames.filter((name) => !hostnames.has(name));
      this.#byApp.set(app, { ...other, hostnames: kept });
    }
    this.#byApp.set(route.app, { ...route, hostnames: [...hostnames], turn: 0 });
  }
}

function byHostname(routes: Iterable<Route>): Map<string, Route> {
  const found = new Map<string, Route>();
  for (const route of routes) for (const name of route.hostnames) found.set(name, route);
  return found;
}

/** Without port, lower-cased, without a final dot. An IPv6 literal keeps its brackets. */
export function hostnameOf(host: string): string {
  const port = host.startsWith("[") ? host.indexOf(":", host.indexOf("]")) : host.indexOf(":");
  const name = port === -1 ? host : host.slice(0, port);
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}
