import { join } from "node:path";
import { isSystemError, MaestroError } from "../errors.ts";
import { connectChannel } from "../lib/channel.ts";
import { KeptProcess } from "../lib/kept-process.ts";
import type { Log } from "../lib/log.ts";
import {
  type DataEvent,
  DataLimits,
  type DataReport,
  type EndpointSettings,
  endpointExchanges,
  type ServerSettings,
} from "../protocol/data.ts";
import { type Account, Accounts } from "./accounts.ts";
import { Backend, parseServerUrl } from "./endpoint/backend.ts";
import { endpointPort } from "./endpoint-port.ts";
import { followEvents } from "./follow-events.ts";
import { ensureServerSecrets, type ServerSecrets } from "./secrets.ts";

export type DataOptions = {
  home: string;
  /** "embedded", "none", or the URL of an operator's CouchDB with its administrator's credentials. */
  couch: string;
  /** The programs src/data/server.ts and src/data/endpoint.ts. */
  entries: { server: string; endpoint: string };
  log: Log;
};

/** The databases of apps as the controller knows them: who has one, and the processes that serve them. */
export class Data {
  readonly #options: DataOptions;
  readonly #accounts: Accounts;
  readonly #port: number;
  readonly #local: Backend;
  readonly #processes: KeptProcess[];
  readonly #control: string;
  readonly #ending = new AbortController();
  /** What was last told of each database. */
  readonly #moves = new Map<string, DataEvent>();

  private constructor(options: DataOptions, secrets: ServerSecrets, port: number) {
    const { server, endpoint } = settingsOf(options, port);
    this.#options = options;
    this.#port = port;
    this.#accounts = new Accounts(join(endpoint.state, "apps"));
    this.#control = endpoint.control;
    this.#local = new Backend(
      endpoint.local.kind === "embedded"
        ? { socket: endpoint.local.socket, ...secrets.admin }
        : { url: secrets.couch ?? "" },
    );
    const output = (name: string) => join(options.home, "run", "data", `${name}.log`);
    const { entries, log } = options;
    const kept = [
      { name: "data-server", entry: entries.server, settings: server, output: output("server"), log },
      { name: "data-endpoint", entry: entries.endpoint, settings: endpoint, output: output("endpoint"), log },
    ];
    this.#processes = kept
      .filter(
        ({ name }) => options.couch !== "none" && (name !== "data-server" || options.couch === "embedded"),
      )
      .map((one) => new KeptProcess(one));
  }

  /** What apps have to reach on the loopback. */
  get openPorts(): number[] {
    return this.#options.couch === "none" ? [] : [this.#port];
  }

  static async open(options: DataOptions): Promise<Data> {
    const state = join(options.home, "state", "data");
    const couch = /^(embedded|none)$/.test(options.couch) ? null : parseServerUrl(options.couch).href;
    const secrets = await ensureServerSecrets(join(state, "secrets.json"), couch);
    return new Data(options, secrets, await endpointPort(join(state, "endpoint.json")));
  }

  /** Starts the processes, or takes them over from an earlier controller. Returns at once. */
  start(): void {
    for (const process of this.#processes) process.start();
  }

  /** Has each failing over and coming back told once, also those that happened while there was no controller. */
  follow(tell: (event: DataEvent) => Promise<void>): void {
    if (this.#options.couch === "none") return;
    const learn = (event: DataEvent) => void this.#moves.set(event.app, event);
    const told = join(this.#options.home, "state", "data", "told.json");
    void followEvents({ control: this.#control, told, tell, learn }, this.#ending.signal);
  }

  /** The databases that are served from their second home, and since when and why. */
  away(): { app: string; since: string; reason: string }[] {
    const away = [...this.#moves.values()].filter(({ event }) => event === "failed over");
    return away.map(({ app, at, reason }) => ({ app, since: at, reason }));
  }

  /** Ends them, the endpoint first. */
  async end(): Promise<void> {
    this.#ending.abort();
    for (const process of this.#processes.toReversed()) await process.end();
  }

  /** What an app finds in COUCHDB_URL, for good; null when Maestro runs without databases. */
  async urlOf(app: string): Promise<string | null> {
    if (this.#options.couch === "none") return null;
    const known = await this.#accounts.find(app);
    const { password } = known ?? (await this.#accounts.ensure(app));
    if (!known) await this.#reload();
    return `http://${app}:${password}@127.0.0.1:${this.#port}/${app}`;
  }

  /** Gives the database of an app, or those of all, a second home; null takes it away. The apps whose database it is. */
  async replicate(app: string | undefined, to: string | null): Promise<string[]> {
    this.#refuseNone();
    const accounts = app === undefined ? await this.#accounts.all() : [await this.#accounts.ensure(app)];
    for (const account of accounts) {
      await this.#accounts.save({
        ...account,
        remote: to === null ? null : remoteOf(account, to, app !== undefined),
      });
    }
    await this.#reload();
    return accounts.map((account) => account.app);
  }

  /** How the databases are, of one app or of all. Throws `BUSY` when the endpoint does not answer. */
  async report(app?: string): Promise<DataReport> {
    this.#refuseNone();
    const { local, databases } = await this.#ask((channel) => channel.ask("report", { conflicts: true }));
    return { local, databases: databases.filter((database) => app === undefined || database.app === app) };
  }

  /** Removes an app's database on this machine. What its second home has stays there. */
  async remove(app: string): Promise<boolean> {
    if ((await this.#accounts.find(app)) === null) return false;
    await this.#local.must("DELETE", `/${encodeURIComponent(app)}`, { allow: [404] });
    await this.#accounts.remove(app);
    this.#moves.delete(app);
    await this.#reload();
    return true;
  }

  #refuseNone(): void {
    if (this.#options.couch !== "none") return;
    throw new MaestroError("BAD_INPUT", "Maestro runs without databases (--couch none)", {});
  }

  /** An endpoint that does not run reads everything when it starts. */
  async #reload(): Promise<void> {
    await this.#ask((channel) => channel.ask("reload", {})).catch((error: unknown) => {
      if (!(error instanceof MaestroError)) throw error;
    });
  }

  async #ask<T>(ask: (channel: EndpointChannel) => Promise<T>): Promise<T> {
    let channel: EndpointChannel;
    try {
      channel = await connectChannel(this.#control, endpointExchanges);
    } catch (error) {
      if (!isSystemError(error, "ENOENT", "ECONNREFUSED")) throw error;
      throw new MaestroError(
        "BUSY",
        "the endpoint of the databases is being started; try again in a moment",
        {
          retry: true,
        },
      );
    }
    try {
      return await ask(channel);
    } finally {
      channel.close();
    }
  }
}

type EndpointChannel = Awaited<ReturnType<typeof connectChannel<typeof endpointExchanges>>>;

/** One database of a server, given the server; for one app the URL may name the database itself. */
function remoteOf({ app }: Account, to: string, isForOne: boolean): string {
  const url = parseServerUrl(to);
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = isForOne && path !== "" ? path : `${path}/${encodeURIComponent(app)}`;
  url.search = "";
  return url.href;
}

function settingsOf(
  { home, couch }: DataOptions,
  port: number,
): { server: ServerSettings; endpoint: EndpointSettings } {
  const run = (name: string) => join(home, "run", "data", name);
  const state = join(home, "state", "data");
  const socket = run("server.sock");
  return {
    server: {
      directory: join(home, "data"),
      listen: { path: socket },
      control: run("server-control.sock"),
      lock: run("server.lock"),
      secrets: join(state, "secrets.json"),
      limits: DataLimits.parse({}),
    },
    endpoint: {
      state,
      listen: { host: "127.0.0.1", port },
      control: run("endpoint.sock"),
      lock: run("endpoint.lock"),
      // Without databases neither process is started.
      local: /^(embedded|none)$/.test(couch) ? { kind: "embedded", socket } : { kind: "couchdb" },
    },
  };
}
