import { once } from "node:events";
import { mkdir, open, readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isSystemError } from "../errors.ts";
import { aborted } from "../lib/aborted.ts";
import { backoff } from "../lib/backoff.ts";
import { type Channel, connectChannel } from "../lib/channel.ts";
import { lockHolder } from "../lib/lock-file.ts";
import type { Log } from "../lib/log.ts";
import { spawnOrphan } from "../lib/orphan.ts";
import { isAlive, type ProcessIdentity } from "../lib/processes.ts";
import { type KeeperSettings, keeperExchanges } from "../protocol/log-keeper.ts";
import type { Bounds } from "./kept-log.ts";

export type LogKeeperOptions = {
  home: string;
  /** The program src/logs/keeper.ts, as source or as published. */
  entry: string;
  bounds: Bounds;
  log: Log;
};

type KeeperChannel = Channel<typeof keeperExchanges>;

const pauses = { first: 500, most: 30_000, jitter: 0.1 };
/** One that does not answer, or does not end, within this time is stuck, in ms. */
const patienceMs = 10_000;

/**
 * The log keeper as the controller knows it: a process that is started again when it dies, and goes on when the
 * controller does. Whatever is wrong with it is logged and tried again; the apps do not depend on it.
 */
export class LogKeeper {
  readonly #directory: string;
  readonly #entry: string;
  readonly #settings: KeeperSettings;
  readonly #log: Log;
  readonly #ending = new AbortController();
  #kept: Promise<void> = Promise.resolve();

  constructor({ home, entry, bounds, log }: LogKeeperOptions) {
    this.#directory = join(home, "run", "logs");
    this.#entry = entry;
    this.#settings = {
      apps: join(home, "apps"),
      control: join(this.#directory, "keeper.sock"),
      lock: join(this.#directory, "keeper.lock"),
      ...bounds,
    };
    this.#log = log;
  }

  /** Starts a keeper in the place of one that an earlier controller may have left. Returns at once. */
  start(): void {
    this.#kept = this.#keep(this.#ending.signal);
  }

  /** Ends the keeper, whoever started it; resolves when its process is gone. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#kept;
    await this.#dismiss().catch((error: Error) =>
      this.#log.error({ error: error.message }, "log-keeper.failed"),
    );
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const waits = backoff(pauses);
    while (!signal.aborted) {
      const began = performance.now();
      try {
        await this.#dismiss();
        await this.#start(signal);
      } catch (error) {
        this.#log.error({ error: (error as Error).message }, "log-keeper.failed");
      }
      if (performance.now() - began > pauses.most) waits.reset();
      await pause(waits.next(), undefined, { signal }).catch(() => {}); // Maestro ends
    }
  }

  /** Starts a keeper; resolves when it has died, or the signal aborts. */
  async #start(signal: AbortSignal): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const output = join(this.#directory, "keeper.log");
    await spawnKeeper(this.#entry, this.#settings, output);
    const channel = await this.#connect();
    if (channel === null) {
      throw new Error(`the log keeper ended at its start: ${(await readFile(output, "utf8")).trim()}`);
    }
    const late = setTimeout(() => channel.close(), patienceMs);
    const { pid } = await channel.ask("status", {});
    clearTimeout(late);
    this.#log.info({ pid }, "log-keeper.started");
    await Promise.race([channel.closed, aborted(signal)]);
    channel.close();
    if (signal.aborted) return;
    this.#log.warn({ pid, lastWords: (await readFile(output, "utf8")).slice(-1000) }, "log-keeper.died");
  }

  /** Has the keeper of this home end, whoever started it, and waits for that; one that is stuck is killed. */
  async #dismiss(): Promise<void> {
    const holder = await lockHolder(this.#settings.lock);
    const channel = await this.#connect();
    if (channel !== null) {
      const late = setTimeout(() => channel.close(), patienceMs);
      await channel.ask("leave", {}).catch(() => {}); // It is gone already, or stuck.
      await channel.closed;
      clearTimeout(late);
    }
    if (holder !== null) await untilGone(holder, channel === null ? 0 : patienceMs);
  }

  /** Null when nobody answers. */
  async #connect(): Promise<KeeperChannel | null> {
    try {
      return await connectChannel(this.#settings.control, keeperExchanges);
    } catch (error) {
      if (isSystemError(error, "ENOENT", "ECONNREFUSED")) return null;
      throw error;
    }
  }
}

/** It is not our child, so nobody tells. After `graceMs` it is killed. */
async function untilGone(keeper: ProcessIdentity, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  for (const waits = backoff({ first: 1, most: 100 }); isAlive(keeper); await pause(waits.next())) {
    if (performance.now() >= deadline) process.kill(keeper.pid, "SIGKILL");
  }
}

/** Resolves when a new keeper answers, or has ended already. Its output is a file, which holds the last start's. */
async function spawnKeeper(entry: string, settings: KeeperSettings, outputFile: string): Promise<void> {
  await using output = await open(outputFile, "w", 0o600);
  const args = ["--disable-warning=ExperimentalWarning", entry, JSON.stringify(settings)];
  const child = spawnOrphan(process.execPath, args, {
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] },
    stdio: ["ignore", output.fd, output.fd, "pipe"],
  });
  const ready = child.stdio[3] as Socket;
  const signal = AbortSignal.timeout(patienceMs);
  await Promise.all([once(child, "exit", { signal }), once(ready.resume(), "close", { signal })]);
}
