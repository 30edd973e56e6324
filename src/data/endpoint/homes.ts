import { Serializer } from "../../lib/serialize.ts";
import type { DatabaseReport, LocalReport } from "../../protocol/data.ts";
import type { Accounts } from "../accounts.ts";
import { basic, withoutCredentials } from "./backend.ts";
import { describe } from "./health.ts";
import { Home, type HomeParts } from "./home.ts";
import type { DirectionReport } from "./replication.ts";

/** How often it is noted how far replication has come, ms: a feed that changes its home repeats at most about so much. */
const noteMs = 1000;

/** The databases of all apps. */
export class Homes {
  readonly #parts: HomeParts & { accounts: Accounts };
  readonly #homes = new Map<string, Home>();
  readonly #entering = new Map<string, Home>();
  readonly #behindSince = new Map<string, number>();
  readonly #turns = new Serializer<"reload">();
  readonly #timer: NodeJS.Timeout;
  #noting = false;

  constructor(parts: HomeParts & { accounts: Accounts }) {
    this.#parts = parts;
    this.#timer = setInterval(() => void this.#note(), noteMs);
  }

  get(app: string): Home | undefined {
    return this.#homes.get(app);
  }

  /** A password is 32 random bytes: how long a look into a map takes tells nothing of it. */
  entering(authorization: string): Home | undefined {
    return this.#entering.get(authorization);
  }

  /** Reads the accounts anew. A database whose account has not changed goes on as it was. */
  reload(): Promise<void> {
    return this.#turns.run("reload", () => this.#reload());
  }

  async #reload(): Promise<void> {
    const accounts = new Map((await this.#parts.accounts.all()).map((account) => [account.app, account]));
    for (const [app, home] of this.#homes) {
      const account = accounts.get(app);
      if (account && account.password === home.account.password && account.remote === home.account.remote)
        continue;
      this.#homes.delete(app);
      home.end();
      if (account?.remote !== home.account.remote) await home.forget().catch(() => {}); // The local server is away.
    }
    for (const [app, account] of accounts) {
      if (!this.#homes.has(app)) this.#homes.set(app, await Home.open(account, this.#parts));
    }
    this.#entering.clear();
    for (const [app, home] of this.#homes) this.#entering.set(basic(app, home.account.password), home);
  }

  /** What is not noted now is noted the next time. */
  async #note(): Promise<void> {
    if (this.#noting) return;
    this.#noting = true;
    for (const [app, home] of this.#homes) {
      for (const direction of await home.note().catch(() => [])) this.#behind(app, direction);
    }
    this.#noting = false;
  }

  reportLocal(): LocalReport {
    const { backend, health } = this.#parts.local;
    return {
      server: backend.shown,
      isWell: health.isWell,
      since: health.since.toISOString(),
      error: health.error,
    };
  }

  report(conflicts: boolean): Promise<DatabaseReport[]> {
    return Promise.all([...this.#homes.values()].map((home) => this.#reportOne(home, conflicts)));
  }

  async #reportOne(home: Home, counts: boolean): Promise<DatabaseReport> {
    const { account, remote, side, comingError } = home;
    const directions = remote === null ? [] : await home.report().catch((error: unknown) => [failed(error)]);
    return {
      app: account.app,
      side,
      events: this.#parts.events.of(account.app),
      error: comingError,
      conflicts: remote === null || !counts ? null : await home.countConflicts().catch(() => null), // Nobody answers.
      remote: remote && {
        server: withoutCredentials(account.remote ?? ""),
        isWell: remote.health.isWell,
        since: remote.health.since.toISOString(),
        error: remote.health.error,
      },
      directions: directions.map((direction) => ({
        ...direction,
        secondsBehind: this.#behind(account.app, direction),
      })),
    };
  }

  /** For how long a direction has not had everything at its end, s. */
  #behind(app: string, { from, state, behind }: DirectionReport): number {
    const key = `${app}:${from}`;
    if (state === "idle" && (behind ?? 0) === 0) {
      this.#behindSince.delete(key);
      return 0;
    }
    const since = this.#behindSince.get(key) ?? Date.now();
    this.#behindSince.set(key, since);
    return Math.round((Date.now() - since) / 1000);
  }

  end(): void {
    clearInterval(this.#timer);
    for (const home of this.#homes.values()) home.end();
  }
}

const failed = (error: unknown): DirectionReport => ({
  from: "local",
  state: "failing",
  behind: null,
  through: null,
  error: describe(error),
});
