import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Transport } from "../../http/pool.ts";
import { backoff } from "../../lib/backoff.ts";
import type { Log } from "../../lib/log.ts";
import type { Account } from "../accounts.ts";
import { type Admission, Admissions } from "./admission.ts";
import { Checkpoints } from "./checkpoints.ts";
import { countConflicts } from "./conflicts.ts";
import type { Events } from "./events.ts";
import { describe, type Health } from "./health.ts";
import { OpenRequests } from "./open-requests.ts";
import type { DirectionReport } from "./replication.ts";
import { type Found, type Remote, watchSecondHome } from "./second-home.ts";
import type { Side } from "./sequences.ts";
import { type LocalServer, noteProgress } from "./servers.ts";
import { Serving } from "./serving.ts";
import { ServingRecord } from "./serving-record.ts";
import { Upkeep } from "./upkeep.ts";

/** What all homes have in common. `state`: the directory of what is kept on the disk. */
export type HomeParts = { local: LocalServer; transport: Transport; state: string; events: Events; log: Log };

/** What is being written at the remote has this long to end before the database goes home, ms. */
const quietMs = 500;
/**
 * How long the rest may take to come home while requests wait, ms. When that was not enough, writing goes on at the
 * remote, and the next attempt has more: a remote that is far away holds writes up for longer, rather than for good.
 */
const restMs = { first: 1000, most: 8000 };
const coming = { first: 200, most: 10_000, factor: 2, jitter: 0.2 };

/**
 * A database and where it is served from. It goes to its second home when the local server is not well and the remote
 * one is; it comes back when the local server is well again and all that was written meanwhile has come home.
 */
export class Home {
  readonly account: Account;
  readonly remote: Remote | null;
  readonly checkpoints: Checkpoints;
  readonly serving: Serving;
  comingError: string | null = null;
  readonly #local: LocalServer;
  readonly #record: ServingRecord;
  readonly #log: Log;
  readonly #ending = new AbortController();
  readonly #requests = new OpenRequests();
  readonly #upkeep: Upkeep;
  readonly #admissions: Admissions;
  /** Resolved when a server's health has changed, or its second home is not the one that it was. */
  #news = Promise.withResolvers<void>();
  #restMs: number = restMs.first;

  private constructor(
    account: Account,
    parts: HomeParts & { checkpoints: Checkpoints; record: ServingRecord },
  ) {
    this.account = account;
    this.#local = parts.local;
    this.#record = parts.record;
    this.#log = parts.log;
    this.checkpoints = parts.checkpoints;
    const { app } = account;
    const { events, log } = parts;
    this.serving = new Serving(
      parts.record,
      (moved) => {
        log.warn(
          { app, reason: moved.reason },
          moved.event === "failed over" ? "data.failed-over" : "data.came-back",
        );
        return events.add({ app, ...moved });
      },
      log,
    );
    this.#upkeep = new Upkeep(account, parts.local, parts.record);
    this.remote =
      account.remote === null
        ? null
        : watchSecondHome(
            account.remote,
            parts.transport,
            () => this.#record.mark,
            (found) => this.#beginAnew(found),
          );
    this.#admissions = new Admissions({
      account,
      local: this.#local,
      remote: this.remote,
      requests: this.#requests,
      serving: this.serving,
      isThere: () => this.#upkeep.isProvisioned,
      isProvisioned: () => this.#isProvisioned(),
    });
    if (this.remote) void this.#live(this.remote);
  }

  static async open(account: Account, parts: HomeParts): Promise<Home> {
    const file = (kind: string) => join(parts.state, kind, `${account.app}.json`);
    const checkpoints = await Checkpoints.open(file("checkpoints"));
    const record = await ServingRecord.open(file("serving"));
    return new Home(account, { ...parts, checkpoints, record });
  }

  /** Where a request goes at once; null when that is not clear: ask `admit`. */
  admitNow(): Admission | null {
    return this.#admissions.admitNow();
  }

  /** Where a request goes now; waits while that is being decided. Null: nowhere, for the moment. */
  admit(): Promise<Admission | null> {
    return this.#admissions.admit();
  }

  get side(): Side {
    return this.remote === null ? "local" : this.serving.side;
  }

  healthOf(side: Side): Health | undefined {
    return side === "local" ? this.#local.health : this.remote?.health;
  }

  /** False: it failed, and the local server is suspected. */
  async #isProvisioned(): Promise<boolean> {
    try {
      await this.#upkeep.provision();
      return true;
    } catch (error) {
      this.#log.warn({ app: this.account.app, error: describe(error) }, "data.not-provisioned");
      this.#local.health.suspect();
      await pause(100);
      return false;
    }
  }

  /** Goes where it has to, for as long as the endpoint lives. */
  async #live(remote: Remote): Promise<void> {
    const { signal } = this.#ending;
    const waits = backoff(coming);
    for (const { health } of [this.#local, remote]) health.onChange(() => this.#news.resolve(), signal);
    while (!signal.aborted) {
      const wasWell = await this.#local.health.known();
      this.#news = Promise.withResolvers();
      const news = this.#news.promise;
      const mayLeave = this.side === "local" && this.#record.isSeeded && remote.health.isWell;
      if (!wasWell && mayLeave) await this.serving.moveTo("remote", "the local database is not well");
      if (wasWell && this.side === "remote") await this.#comeHome(remote, waits.next());
      else {
        waits.reset();
        if (wasWell) await this.#replicate(remote);
        else this.#upkeep.interrupted();
        await Promise.race([news, pause(5000, undefined, { signal }).catch(() => {})]);
      }
    }
  }

  async #replicate(remote: Remote): Promise<void> {
    try {
      await this.#upkeep.replicate(remote);
      this.comingError = null;
    } catch (error) {
      this.comingError = describe(error);
    }
  }

  /** Somebody has removed the remote database, or put another in its place. */
  async #beginAnew(found: Found): Promise<void> {
    if (this.remote === null) return;
    if (this.side === "remote") {
      if (!this.#local.health.isWell) throw new Error("the database was removed there");
      await this.serving.moveTo("local", "the database was removed at its second home");
    }
    await this.#upkeep.beginAnew(this.remote, found);
    this.#news.resolve();
  }

  /** Only a database with two homes is looked through. */
  countConflicts(): Promise<number> {
    return countConflicts(this.#local.backend, this.account.app);
  }

  report(): Promise<DirectionReport[]> {
    return this.#upkeep.report();
  }

  /** First most of it, while the remote serves; then the rest, while requests wait. */
  async #comeHome(remote: Remote, waitMs: number): Promise<void> {
    try {
      await this.#upkeep.provision();
      await this.#upkeep.bringHome(10 * 60_000);
      this.#ending.signal.throwIfAborted();
      this.serving.endFeeds();
      await this.#requests.whileClosed(quietMs, async () => {
        await this.#upkeep.bringHome(this.#restMs);
        this.#ending.signal.throwIfAborted();
        if (this.side === "remote")
          await this.serving.moveTo("local", "all that was written meanwhile has come home");
      });
      this.#restMs = restMs.first;
      this.#upkeep.interrupted();
      await this.#replicate(remote);
    } catch (error) {
      this.#restMs = Math.min(this.#restMs * 2, restMs.most);
      this.comingError = describe(error);
      this.#log.warn({ app: this.account.app, error: this.comingError }, "data.not-home-yet");
      await pause(waitMs, undefined, { signal: this.#ending.signal }).catch(() => {});
    }
  }

  /** Notes how far replication has come, for feeds that go on at the other home. */
  async note(): Promise<DirectionReport[]> {
    if (!this.remote || this.#local.health.isWell !== true) return [];
    const servers = { local: this.#local.backend, remote: this.remote.backend };
    const directions = await this.report();
    // A local server that was away for less than a judgement takes replicates nothing any more.
    if (directions.some(({ state }) => state === "stopped")) this.#news.resolve();
    if (this.side === "local") await noteProgress(this.checkpoints, directions, servers, this.account.app);
    return directions;
  }

  /** Ends the watching; what has been asked of replicators goes on. */
  end(): void {
    this.#ending.abort();
    this.remote?.health.end();
    this.remote?.backend.close();
    this.serving.leaving.abort();
  }

  /** Its second home is given up. */
  async forget(): Promise<void> {
    try {
      await this.#upkeep.end();
    } finally {
      await this.#record.remove();
    }
  }
}
