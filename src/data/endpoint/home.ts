import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { backoff } from "../../lib/backoff.ts";
import type { Log } from "../../lib/log.ts";
import type { DatabaseReport } from "../../protocol/data.ts";
import type { Account } from "../accounts.ts";
import type { Backend } from "./backend.ts";
import { Checkpoints } from "./checkpoints.ts";
import { countConflicts } from "./conflicts.ts";
import { describe, type Health } from "./health.ts";
import { OpenRequests } from "./open-requests.ts";
import { provision } from "./provision.ts";
import type { DirectionReport } from "./replication.ts";
import type { Side } from "./sequences.ts";
import { type LocalServer, noteProgress, type Remote, watchRemote } from "./servers.ts";
import { ServingRecord } from "./serving-record.ts";

/** A server that a request may go to. `release`: it is over. */
export type Admission = { backend: Backend; side: Side; authorization: string; release(): void };

/** How long requests are kept waiting for a decision, or while a database changes its home, ms. */
const holdMs = 3000;
/** What is under way at the remote has this long to end before the database goes home, ms. */
const quietMs = 1000;
const coming = { first: 200, most: 10_000, factor: 2, jitter: 0.2 };

/**
 * A database and where it is served from. It goes to its second home when the local server is not well and the remote
 * one is; it comes back when the local server is well again and all that was written meanwhile has come home.
 */
export class Home {
  readonly account: Account;
  readonly remote: Remote | null;
  readonly checkpoints: Checkpoints;
  readonly events: DatabaseReport["events"] = [];
  /** Aborted when the side changes: feeds end then, and are asked for again. */
  leaving = new AbortController();
  comingError: string | null = null;
  readonly #local: LocalServer;
  readonly #record: ServingRecord;
  readonly #log: Log;
  readonly #ending = new AbortController();
  readonly #requests = new OpenRequests();
  #sideChange = Promise.withResolvers<void>();
  #provisioned: Promise<void> | null = null;

  private constructor(
    account: Account,
    parts: { local: LocalServer; log: Log; checkpoints: Checkpoints; record: ServingRecord },
  ) {
    this.account = account;
    this.#local = parts.local;
    this.#record = parts.record;
    this.#log = parts.log;
    this.checkpoints = parts.checkpoints;
    this.remote = account.remote === null ? null : watchRemote(account.remote);
    if (this.remote) void this.#live();
  }

  static async open(account: Account, parts: { local: LocalServer; state: string; log: Log }): Promise<Home> {
    const file = (kind: string) => join(parts.state, kind, `${account.app}.json`);
    const checkpoints = await Checkpoints.open(file("checkpoints"));
    const record = await ServingRecord.open(file("serving"));
    return new Home(account, { ...parts, checkpoints, record });
  }

  /** Where a request goes now; waits while that is being decided. Null: nowhere, for the moment. */
  async admit(): Promise<Admission | null> {
    const deadline = performance.now() + holdMs;
    while (performance.now() < deadline) {
      await this.#requests.reopened();
      if (this.side === "remote" && this.remote) {
        const { backend } = this.remote;
        return {
          backend,
          side: "remote",
          authorization: backend.authorization,
          release: this.#requests.enter(),
        };
      }
      if (await this.#local.health.known()) {
        if (!(await this.#isProvisioned())) continue;
        const { backend } = this.#local;
        return {
          backend,
          side: "local",
          authorization: this.#localAuthorization,
          release: this.#requests.enter(),
        };
      }
      const decided = Promise.race([this.#local.health.changed(), this.#sideChange.promise]);
      await Promise.race([decided, pause(Math.max(0, deadline - performance.now()))]);
    }
    return null;
  }

  get side(): Side {
    return this.remote === null ? "local" : this.#record.side;
  }

  healthOf(side: Side): Health | undefined {
    return side === "local" ? this.#local.health : this.remote?.health;
  }

  get #localAuthorization(): string {
    const { app, password } = this.account;
    return `Basic ${Buffer.from(`${app}:${password}`).toString("base64")}`;
  }

  async #provision(): Promise<void> {
    this.#provisioned ??= provision(this.#local.backend, this.account);
    try {
      await this.#provisioned;
    } catch (error) {
      this.#provisioned = null;
      throw error;
    }
  }

  /** False: it failed, and the local server is suspected. */
  async #isProvisioned(): Promise<boolean> {
    try {
      await this.#provision();
      return !this.#requests.areClosed && this.side === "local";
    } catch (error) {
      this.#log.warn({ app: this.account.app, error: describe(error) }, "data.not-provisioned");
      this.#local.health.suspect();
      await pause(100);
      return false;
    }
  }

  /** Goes where it has to, for as long as the endpoint lives. */
  async #live(): Promise<void> {
    const { signal } = this.#ending;
    const waits = backoff(coming);
    while (!signal.aborted && this.remote) {
      const { health } = this.#local;
      const wasWell = await health.known();
      const change = Promise.race([health.changed(), this.remote.health.changed()]);
      const mayLeave = this.side === "local" && this.#record.isSeeded && this.remote.health.isWell;
      if (!wasWell && mayLeave) await this.#moveTo("remote", "the local database is not well");
      if (wasWell && this.side === "remote") await this.#comeHome(waits.next());
      else {
        waits.reset();
        if (wasWell) await this.#replicate();
        await Promise.race([change, pause(5000, undefined, { signal }).catch(() => {})]);
      }
    }
  }

  /** Replication both ways is asked for again after each failure: nobody waits for a replicator's own patience. */
  #replicated = false;
  async #replicate(): Promise<void> {
    const { remote } = this.account;
    if (remote === null || !this.remote?.health.isWell) {
      this.#replicated = false;
      return;
    }
    try {
      await this.#provision();
      const reports = await this.report();
      const lives =
        reports.length === 2 && reports.every(({ state }) => state === "running" || state === "idle");
      if (this.#replicated && lives) return;
      await this.#local.replicator.ensure(this.account.app, remote);
      this.#replicated = true;
    } catch (error) {
      this.comingError = describe(error);
    }
  }

  /** Only a database with two homes is looked through. */
  countConflicts(): Promise<number> {
    return countConflicts(this.#local.backend, this.account.app);
  }

  async report(): Promise<DirectionReport[]> {
    const directions = await this.#local.replicator.report(this.account.app);
    const push = directions.find(({ from }) => from === "local");
    if (push?.state === "idle" && (push.behind ?? 0) === 0) await this.#record.seed();
    return directions;
  }

  /** First most of it, while the remote serves; then the rest, while requests wait. */
  async #comeHome(waitMs: number): Promise<void> {
    const { app, remote } = this.account;
    if (remote === null) return;
    try {
      await this.#provision();
      await this.#local.replicator.bringHome(app, remote, 10 * 60_000);
      this.#endFeeds();
      await this.#requests.whileClosed(quietMs, async () => {
        await this.#local.replicator.bringHome(app, remote, holdMs);
        await this.#moveTo("local", "all that was written meanwhile has come home");
      });
      this.comingError = null;
      await this.note();
      this.#replicated = false;
      await this.#replicate();
    } catch (error) {
      this.comingError = describe(error);
      this.#log.warn({ app, error: this.comingError }, "data.not-home-yet");
      await pause(waitMs, undefined, { signal: this.#ending.signal }).catch(() => {});
    }
  }

  async #moveTo(side: Side, reason: string): Promise<void> {
    await this.#record.move(side);
    const event = side === "remote" ? "failed over" : "came back";
    this.events.push({ at: new Date().toISOString(), event, reason });
    if (this.events.length > 20) this.events.shift();
    this.#log.warn(
      { app: this.account.app, side, reason },
      side === "remote" ? "data.failed-over" : "data.came-back",
    );
    this.#endFeeds();
    this.#sideChange.resolve();
    this.#sideChange = Promise.withResolvers();
  }

  #endFeeds(): void {
    const { leaving } = this;
    this.leaving = new AbortController();
    leaving.abort();
  }

  /** Notes how far replication has come, for feeds that go on at the other home. */
  async note(): Promise<void> {
    if (!this.remote || this.#local.health.isWell !== true) return;
    const servers = { local: this.#local.backend, remote: this.remote.backend };
    await noteProgress(this.checkpoints, await this.report(), servers, this.account.app);
  }

  /** Ends the watching; what has been asked of replicators goes on. */
  end(): void {
    this.#ending.abort();
    this.remote?.health.end();
    this.remote?.backend.close();
    this.leaving.abort();
  }

  async forget(): Promise<void> {
    await this.#record.remove();
    await this.#local.replicator.stop(this.account.app);
  }
}
