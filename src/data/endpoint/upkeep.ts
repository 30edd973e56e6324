import { Serializer } from "../../lib/serialize.ts";
import type { Account } from "../accounts.ts";
import type { Backend } from "./backend.ts";
import { provision } from "./provision.ts";
import type { DirectionReport } from "./replication.ts";
import { type Found, leaveMark, look, type Remote } from "./second-home.ts";
import type { LocalServer } from "./servers.ts";
import type { ServingRecord } from "./serving-record.ts";

/** What has to be there for a database to be served: its user, itself, and its replication both ways. */
export class Upkeep {
  readonly #account: Account;
  readonly #local: LocalServer;
  readonly #record: ServingRecord;
  /** What is found out about the second home while replication is being begun concerns the one that was there before. */
  readonly #turns = new Serializer<"replication">();
  #provisioned: Promise<void> | null = null;
  #isReplicated = false;
  #hasEnded = false;
  /** The user and the database have been made at the local server, or found there. */
  isProvisioned = false;

  constructor(account: Account, local: LocalServer, record: ServingRecord) {
    this.#account = account;
    this.#local = local;
    this.#record = record;
  }

  /** Makes the user and the database at the local server, once. */
  async provision(): Promise<void> {
    this.#provisioned ??= provision(this.#local.backend, this.#account);
    try {
      await this.#provisioned;
      this.isProvisioned = true;
    } catch (error) {
      this.#provisioned = null;
      throw error;
    }
  }

  /** Sees to it that replication is going on. Begun again after each failure: nobody waits for a replicator's patience. */
  replicate(remote: Remote): Promise<void> {
    return this.#turns.run("replication", () => this.#replicate(remote));
  }

  async #replicate({ backend, health }: Remote): Promise<void> {
    const { app, remote } = this.#account;
    if (this.#hasEnded) return;
    if (remote === null || !health.isWell) {
      this.#isReplicated = false;
      return;
    }
    await this.provision();
    const reports = await this.report();
    const lives =
      reports.length === 2 && reports.every(({ state }) => state === "running" || state === "idle");
    if (this.#isReplicated && lives) return;
    // It may have been put in the place of the one that replication failed with.
    const found = await look(backend, this.#record.mark);
    if (found !== "ours") await this.#beginAnew(backend, found);
    if (this.#record.mark === null) await this.#record.note(await leaveMark(backend));
    await this.#local.replicator.ensure(app, remote);
    this.#isReplicated = true;
  }

  /** A local server that was started anew replicates nothing. */
  interrupted(): void {
    this.#isReplicated = false;
  }

  async report(): Promise<DirectionReport[]> {
    const directions = await this.#local.replicator.report(this.#account.app);
    const push = directions.find(({ from }) => from === "local");
    if (this.#isReplicated && push?.state === "idle" && (push.behind ?? 0) === 0) await this.#record.seed();
    return directions;
  }

  /** Resolves when everything has come over that is at the remote now. */
  async bringHome(timeoutMs: number): Promise<void> {
    const { app, remote } = this.#account;
    if (remote !== null) await this.#local.replicator.bringHome(app, remote, timeoutMs);
  }

  /** The second home has not what was there: nobody is sent there until everything is there again. */
  beginAnew(remote: Remote, found: Found): Promise<void> {
    return this.#turns.run("replication", () => this.#beginAnew(remote.backend, found));
  }

  async #beginAnew(backend: Backend, found: Found): Promise<void> {
    this.#isReplicated = false;
    if (this.#record.mark !== null) await this.#stop();
    await this.#record.unseed();
    if (found === "none") await backend.must("PUT", "", { allow: [412] });
  }

  /** Its second home is given up: replication ends, and whoever was about to begin it does not. */
  end(): Promise<void> {
    this.#hasEnded = true;
    return this.#turns.run("replication", () => this.#stop());
  }

  async #stop(): Promise<void> {
    const { app, remote } = this.#account;
    if (remote !== null) await this.#local.replicator.stop(app, remote);
  }
}
