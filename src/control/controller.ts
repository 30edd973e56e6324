import type { App } from "../app/app.ts";
import { hostnamesOf } from "../app/app.ts";
import type { Exit } from "../app/instance.ts";
import { hostnameOfMount } from "../app/mount.ts";
import type { Config } from "../config.ts";
import { MaestroError } from "../errors.ts";
import type { Log } from "../lib/log.ts";
import { Serializer } from "../lib/serialize.ts";
import type { Stamps } from "../lib/stamp.ts";
import type { AppRoute } from "../protocol/worker.ts";
import { Configs } from "./configs.ts";
import type { Deploy } from "./deploy.ts";
import type { History } from "./history.ts";
import type { Instance } from "./instance.ts";
import type { OneOff } from "./one-off.ts";
import type { Databases, Logs, Releases, Runner, Traffic } from "./ports.ts";
import type { Registry } from "./registry.ts";
import type { Frozen } from "./warm.ts";

/** Why an app that should run does not, as people are told. */
export type Problem = { message: string; lastWords: string[] };

/** How an instance that was wanted ended. `at`: ISO 8601, null when nobody saw it. */
export type Death = { instance: string; release: number; at: string | null; exit: Exit };

/** What runs of one app: derived from processes, never stored. */
export class AppRuntime {
  /** The instances that are wanted now, by id: "web.1". */
  readonly serving = new Map<string, Instance>();
  /** Every instance whose process has not ended, those that drain included. */
  readonly living = new Set<Instance>();
  /** The one-off programs that run: no traffic goes to them, and nothing takes their place. */
  readonly runs = new Set<OneOff>();
  /** The tidying up behind those that have just ended. */
  readonly tidying = new Set<Promise<void>>();
  /** Ids whose instance died and is being started again; aborting one gives up. */
  readonly revivals = new Map<string, AbortController>();
  /** Deaths in a row by id; forgotten when an instance has lived for a while. */
  readonly deaths = new Map<string, number>();
  problem: Problem | null = null;
  lastDeath: Death | null = null;
  deploying: Deploy | null = null;

  giveUpRevivals(): void {
    for (const revival of this.revivals.values()) revival.abort();
    this.revivals.clear();
  }
}

/** What callers are told in the moment between two versions. `retry`: the same call will be answered shortly. */
export const beingReplaced = () =>
  new MaestroError("BUSY", "Maestro is being replaced by its next version; try again in a moment", {
    retry: true,
  });

/** All that the stories work on. */
export class Controller {
  readonly config: Config;
  readonly log: Log;
  readonly registry: Registry;
  readonly history: History;
  readonly configs: Configs;
  readonly releases: Releases;
  readonly runner: Runner;
  readonly traffic: Traffic;
  readonly logs: Logs;
  readonly databases: Databases;
  /** The names of deploys and instances. */
  readonly stamps: Stamps;
  /** Changes to one app come one after the other; apps do not wait for each other. */
  readonly serializer = new Serializer<string>();
  /** The instances of all apps that are kept frozen, those that were frozen first before the others. */
  readonly frozen = new Map<Instance, Frozen>();
  memoryWatch: NodeJS.Timeout | undefined;
  /** The deploys that are under way, by id, those that wait for their turn included. */
  readonly deploys = new Map<string, Deploy>();
  /** Hostnames of deploys under way: hostname → app. */
  readonly claims = new Map<string, string>();
  /** The port that goes into the addresses which people are shown. */
  readonly httpPort: number;
  readonly #ending = new AbortController();
  #replaced = false;
  readonly #runtimes = new Map<string, AppRuntime>();

  constructor(
    parts: Pick<
      Controller,
      | "config"
      | "log"
      | "registry"
      | "history"
      | "stamps"
      | "releases"
      | "runner"
      | "traffic"
      | "logs"
      | "databases"
      | "httpPort"
    >,
  ) {
    this.config = parts.config;
    this.log = parts.log;
    this.registry = parts.registry;
    this.history = parts.history;
    this.configs = new Configs(parts.config.home);
    this.stamps = parts.stamps;
    this.releases = parts.releases;
    this.runner = parts.runner;
    this.traffic = parts.traffic;
    this.logs = parts.logs;
    this.databases = parts.databases;
    this.httpPort = parts.httpPort;
  }

  runtime(app: string): AppRuntime {
    let runtime = this.#runtimes.get(app);
    if (!runtime) {
      runtime = new AppRuntime();
      this.#runtimes.set(app, runtime);
    }
    return runtime;
  }

  /** Aborted when all of Maestro ends: nothing is begun any more. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  beginEnding(): void {
    this.#ending.abort(new MaestroError("BUSY", "Maestro is ending; try again when it runs"));
  }

  /** Deploys that come from now on are for the next version; those that are under way are seen through. */
  beginReplacement(): void {
    this.#replaced = true;
  }

  refuseWhenClosing(): void {
    this.ending.throwIfAborted();
    if (this.#replaced) throw beingReplaced();
  }

  forget(app: string): void {
    this.#runtimes.delete(app);
  }

  /** Of the apps that are registered, and of those of which something runs although they are not. */
  names(): string[] {
    return [...new Set([...this.registry.all().map(({ name }) => name), ...this.#runtimes.keys()])];
  }

  hostnames(app: Pick<App, "name" | "hostnames">): readonly string[] {
    return hostnamesOf(app, this.config.domain);
  }

  /** What apps find as hosts of this machine, so that they call each other where no DNS knows them. */
  nameHosts(): void {
    const mounts = this.registry.all().flatMap((app) => this.hostnames(app));
    const hostnames = [...new Set(mounts.map(hostnameOfMount))];
    this.runner.nameHosts(hostnames.filter((hostname) => isOurs(hostname, this.config.domain)));
  }

  /** Where an app's traffic should go, given what runs of it now. */
  route(app: App): AppRoute {
    const runtime = this.runtime(app.name);
    const upstreams = [...runtime.serving.values()].flatMap((instance) =>
      instance.address ? [{ instance: instance.key, ...instance.address }] : [],
    );
    const reviving = runtime.problem === null && runtime.revivals.size > 0;
    const coming = reviving || runtime.deploying !== null;
    const state = upstreams.length > 0 ? "serving" : coming ? "starting" : "away";
    const hostnames = [...this.hostnames(app)];
    const { name, stripped, mode, proxy: settings } = app;
    return { app: name, hostnames, stripped, state, upstreams, settings, ...(mode ? { mode } : {}) };
  }

  /** Resolves when every worker routes an app's traffic as it should be now. */
  async publish(app: App): Promise<void> {
    this.nameHosts();
    await this.traffic.apply({ replace: false, put: [this.route(app)], remove: [] });
  }
}

/**
 * Whether a name can only be meant here: below the domain of this Maestro, or where the DNS has no names (RFC 6761). Any
 * other may be somebody's on the internet: an app that takes it for a hostname must not get what its neighbours send there.
 */
function isOurs(hostname: string, domain: string): boolean {
  const homes = [domain, "localhost", "test"].map((home) => `.${home}`);
  return !hostname.startsWith("*.") && homes.some((home) => hostname.endsWith(home));
}
