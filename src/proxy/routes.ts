import type { TrafficCounts } from "../app/traffic.ts";
import type { AppRoute, RoutesChange, Upstream } from "../protocol/worker.ts";
import { type Bounds, boundsOf } from "./bounds.ts";
import { AppCounts } from "./counts.ts";
import { type Asked, asReadLeniently, isBelow, leadsElsewhere } from "./mounts.ts";
import { malformed } from "./refusal.ts";
import type { SlowStart } from "./slow-start.ts";

/** An app's route as it is in force. Replaced as a whole with each change that touches it. */
export type Route = AppRoute & {
  /** Where the next search for an upstream begins, so that equals take turns. */
  turn: number;
  readonly bounds: Bounds;
  /** Goes on from one to the next. */
  readonly counts: AppCounts;
};

/** Where a request goes. */
export type Place = {
  readonly route: Route;
  /** The path prefix of the hostname that is the app's; "" for all of it. */
  readonly prefix: string;
  /** Taken off the path before the app sees it; "" where it sees the path as it was sent. */
  readonly stripped: string;
};

/** What is mounted at a hostname. */
type Site = {
  /** The whole hostname, or what is left of it by `below`. */
  whole: Place | null;
  /** Path prefixes, the longest first. */
  below: Place[];
};

/** Which app a hostname, or a path prefix of one, belongs to, and where its traffic goes. */
export class Routes {
  readonly #byApp = new Map<string, Route>();
  #sites = new Map<string, Site>();
  readonly #counts = new Map<string, AppCounts>();
  readonly #answerMs: number;
  readonly #slowStart: SlowStart | undefined;
  readonly #watchers = new Set<(apps: ReadonlySet<string>) => void>();

  /** `answerMs`: the time for an answer of apps that ask for no other. */
  constructor(answerMs: number, slowStart?: SlowStart) {
    this.#answerMs = answerMs;
    this.#slowStart = slowStart;
  }

  /** In force, as one, when it returns: nothing that runs in this process sees a part of it. */
  apply({ replace, put, remove }: RoutesChange): void {
    for (const { app, upstreams } of put)
      this.#slowStart?.changed(this.#byApp.get(app)?.upstreams ?? [], upstreams);
    const touched = new Set([...remove, ...put.map(({ app }) => app)]);
    if (replace) for (const app of this.#byApp.keys()) touched.add(app);
    if (replace) this.#byApp.clear();
    for (const app of remove) this.#byApp.delete(app);
    for (const route of put) this.#put(route);
    for (const app of touched) if (!this.#byApp.has(app)) this.#counts.delete(app);
    this.#sites = sitesOf(this.#byApp.values());
    for (const watcher of [...this.#watchers]) watcher(touched);
  }

  /**
   * The place of a request: that of its `Host` header, however it is written (with a port, in capitals, with a final
   * dot), and there the longest prefix of its path. Throws a `Refusal` for a path that leads to one place as it was
   * sent, and to another as some readers understand it.
   */
  find(asked: Asked): Place | undefined {
    const name = hostnameOf(asked.host);
    const site = this.#sites.get(name);
    if (site?.whole && site.below.length === 0) return site.whole;
    const place = this.#at(name, asked);
    if (this.#isShared(name)) this.#refuseAmbiguous(name, asked, place);
    return place;
  }

  /** Whether what is asked for leads to that instance. */
  leadsTo(asked: Asked, instance: string): boolean {
    const upstreams = this.#at(hostnameOf(asked.host), asked)?.route.upstreams ?? [];
    return upstreams.some((upstream) => upstream.instance === instance);
  }

  #at(name: string, asked: { readonly path: string }): Place | undefined {
    for (let key: string | null = name; key !== null; key = wildcardAbove(key)) {
      const site = this.#sites.get(key);
      if (!site) continue;
      if (site.below.length > 0) {
        const { path } = asked;
        const place = site.below.find(({ prefix }) => isBelow(path, prefix));
        if (place) return place;
      }
      if (site.whole) return site.whole;
    }
    return undefined;
  }

  #isShared(name: string): boolean {
    for (let key: string | null = name; key !== null; key = wildcardAbove(key)) {
      if ((this.#sites.get(key)?.below.length ?? 0) > 0) return true;
    }
    return false;
  }

  #refuseAmbiguous(name: string, { path }: Asked, place: Place | undefined): void {
    if (this.#at(name, { path: asReadLeniently(path) }) !== place)
      throw malformed("the path could be understood in two ways");
    if (place && place.stripped !== "" && leadsElsewhere(path, place.stripped))
      throw malformed("the path would begin with two slashes");
  }

  table(): AppRoute[] {
    return [...this.#byApp.values()].map(
      ({ turn: _turn, bounds: _bounds, counts: _counts, ...route }) => route,
    );
  }

  /** Calls back after each change, with the apps that it touched, until the returned function is called. */
  watch(watcher: (apps: ReadonlySet<string>) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** What has been done for each app. */
  traffic(): Record<string, TrafficCounts> {
    return Object.fromEntries([...this.#counts].map(([app, counts]) => [app, counts.report()]));
  }

  all(): Iterable<Route> {
    return this.#byApp.values();
  }

  of(instance: string): Route | undefined {
    return this.#byApp.values().find(({ upstreams }) => upstreams.some((one) => one.instance === instance));
  }

  /** Every upstream that may be claimed at this moment. */
  upstreams(): Upstream[] {
    return [...this.#byApp.values()].flatMap(({ upstreams }) => upstreams);
  }

  /** A hostname that another app had moves: else it would fall back to it when this one leaves. */
  #put(route: AppRoute): void {
    const hostnames = new Set(route.hostnames.map(mountOf));
    for (const [app, other] of this.#byApp) {
      if (app === route.app || !other.hostnames.some((name) => hostnames.has(name))) continue;
      const kept = other.hostnames.filter((name) => !hostnames.has(name));
      this.#byApp.set(app, { ...other, hostnames: kept });
    }
    const stripped = route.stripped && { stripped: route.stripped.map(mountOf) };
    const counts = this.#counts.get(route.app) ?? new AppCounts();
    this.#counts.set(route.app, counts);
    const bounds = boundsOf(route.settings ?? {}, this.#answerMs);
    this.#byApp.set(route.app, { ...route, hostnames: [...hostnames], ...stripped, bounds, counts, turn: 0 });
  }
}

/** The wildcard that covers a name, or another wildcard; null above the last. */
function wildcardAbove(name: string): string | null {
  const dot = name.indexOf(".", name.startsWith("*.") ? 2 : 0);
  return dot === -1 ? null : `*${name.slice(dot)}`;
}

function sitesOf(routes: Iterable<Route>): Map<string, Site> {
  const sites = new Map<string, Site>();
  for (const route of routes) for (const mount of route.hostnames) put(sites, route, mount);
  for (const { below } of sites.values()) below.sort((a, b) => b.prefix.length - a.prefix.length);
  return sites;
}

function put(sites: Map<string, Site>, route: Route, mount: string): void {
  const [hostname, prefix] = partsOf(mount);
  const site = sites.get(hostname) ?? { whole: null, below: [] };
  sites.set(hostname, site);
  if (prefix === "") site.whole = { route, prefix, stripped: "" };
  else site.below.push({ route, prefix, stripped: route.stripped?.includes(mount) ? prefix : "" });
}

/** A hostname, or one with a path prefix, as it is compared: of a path, capitals are part. */
function mountOf(mount: string): string {
  const [hostname, prefix] = partsOf(mount);
  return hostnameOf(hostname) + prefix;
}

function partsOf(mount: string): [hostname: string, prefix: string] {
  const slash = mount.indexOf("/");
  return slash === -1 ? [mount, ""] : [mount.slice(0, slash), mount.slice(slash)];
}

/** Without port, lower-cased, without a final dot. An IPv6 literal keeps its brackets. */
export function hostnameOf(host: string): string {
  const port = host.startsWith("[") ? host.indexOf(":", host.indexOf("]")) : host.indexOf(":");
  const name = port === -1 ? host : host.slice(0, port);
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}
