import { once } from "node:events";
import { mkdir, open, readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { isSystemError } from "../errors.ts";
import { aborted } from "./aborted.ts";
import { backoff } from "./backoff.ts";
import { type Channel, connectChannel } from "./channel.ts";
import { keptExchanges } from "./kept-exchanges.ts";
import { lockHolder } from "./lock-file.ts";
import type { Log } from "./log.ts";
import { spawnOrphan } from "./orphan.ts";
import { ownVersion } from "./own-version.ts";
import { isAlive, type ProcessIdentity } from "./processes.ts";

export type KeptProcessOptions = {
  /** For the log: "data-server". */
  name: string;
  /** The program, as source or as published. */
  entry: string;
  /** What it is started with, as JSON on its command line: nothing secret. */
  settings: { control: string; lock: string };
  /** A file that holds what the last one wrote. */
  output: string;
  log: Log;
};

type StatusChannel = Channel<typeof keptExchanges>;

const pauses = { first: 100, most: 30_000, jitter: 0.1 };
/** One that does not answer, or does not end, within this time is stuck, in ms. */
const patienceMs = 10_000;
/** How often one that runs is asked whether it still answers, ms. */
const askMs = 5000;

/**
 * A process that does its work by itself, as the controller knows it: it is started again when it dies or gets stuck, goes on when the
 * controller does not, and is taken over by the next one, or replaced when that one is of another version.
 */
export class KeptProcess {
  readonly #options: KeptProcessOptions;
  readonly #ending = new AbortController();
  #kept: Promise<void> = Promise.resolve();

  constructor(options: KeptProcessOptions) {
    this.#options = options;
  }

  /** Returns at once. */
  start(): void {
    this.#kept = this.#keep(this.#ending.signal);
  }

  /** Ends the process, whoever started it; resolves when it is gone. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#kept;
    await this.#dismiss().catch((error: Error) => this.#failed(error));
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const waits = backoff(pauses);
    while (!signal.aborted) {
      const began = performance.now();
      try {
        const channel = (await this.#adopt()) ?? (await this.#start());
        await this.#watch(channel, signal);
      } catch (error) {
        this.#failed(error as Error);
      }
      if (performance.now() - began > pauses.most) waits.reset();
      if (!signal.aborted) await pause(waits.next(), undefined, { signal }).catch(() => {}); // Maestro ends
    }
  }

  #failed(error: Error): void {
    this.#options.log.error({ error: error.message }, `${this.#options.name}.failed`);
  }

  /** One of the same version with the same settings goes on; null when there is none, any other having been ended. */
  async #adopt(): Promise<StatusChannel | null> {
    const channel = await this.#connect();
    if (channel === null) {
      await this.#dismiss();
      return null;
    }
    const { pid, version, settings } = await inTime(channel, channel.ask("status", {}));
    if (version === ownVersion && isDeepStrictEqual(settings, this.#options.settings)) {
      this.#options.log.info({ pid }, `${this.#options.name}.adopted`);
      return channel;
    }
    channel.close();
    await this.#dismiss();
    return null;
  }

  async #start(): Promise<StatusChannel> {
    const { name, output, log } = this.#options;
    await mkdir(dirname(output), { recursive: true, mode: 0o700 });
    await spawnKept(this.#options);
    const channel = await this.#connect();
    if (channel === null) {
      throw new Error(`it ended at its start: ${(await readFile(output, "utf8")).trim().slice(-2000)}`);
    }
    const { pid, address } = await inTime(channel, channel.ask("status", {}));
    log.info({ pid, address }, `${name}.started`);
    return channel;
  }

  /** Resolves when it has died, or Maestro ends. One that does not answer any more is killed. */
  async #watch(channel: StatusChannel, signal: AbortSignal): Promise<void> {
    const { name, output, log, settings } = this.#options;
    const timer = setInterval(() => void inTime(channel, channel.ask("status", {})).catch(() => {}), askMs);
    const holder = await lockHolder(settings.lock);
    await Promise.race([channel.closed, aborted(signal)]);
    clearInterval(timer);
    channel.close();
    if (signal.aborted) return;
    // Its channel closed because it was stuck, or because it is dead.
    if (holder && isAlive(holder)) await untilGone(holder, 100);
    log.warn({ lastWords: (await readFile(output, "utf8")).slice(-1000) }, `${name}.died`);
  }

  /** Has the one that there is end, whoever started it, and waits for that; one that is stuck is killed. */
  async #dismiss(): Promise<void> {
    const holder = await lockHolder(this.#options.settings.lock);
    const channel = await this.#connect();
    if (channel !== null) {
      await inTime(
        channel,
        channel.ask("leave", {}).then(() => channel.closed),
      ).catch(() => {}); // It is gone already, or stuck.
    }
    if (holder !== null) await untilGone(holder, channel === null ? 0 : patienceMs);
  }

  /** Null when nobody answers. */
  async #connect(): Promise<StatusChannel | null> {
    try {
      return await connectChannel(this.#options.settings.control, keptExchanges);
    } catch (error) {
      if (isSystemError(error, "ENOENT", "ECONNREFUSED")) return null;
      throw error;
    }
  }
}

/** Closes a channel whose other side does not answer in time. */
async function inTime<T>(channel: StatusChannel, answer: Promise<T>): Promise<T> {
  const late = setTimeout(() => channel.close(), patienceMs);
  try {
    return await answer;
  } finally {
    clearTimeout(late);
  }
}

/** It is not our child, so nobody tells. After `graceMs` it is killed. */
async function untilGone(holder: ProcessIdentity, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  for (const waits = backoff({ first: 1, most: 100 }); isAlive(holder); await pause(waits.next())) {
    if (performance.now() >= deadline) process.kill(holder.pid, "SIGKILL");
  }
}

/** Resolves when a new one answers, or has ended already. */
async function spawnKept({ entry, settings, output: file }: KeptProcessOptions): Promise<void> {
  await using output = await open(file, "w", 0o600);
  const args = ["--disable-warning=ExperimentalWarning", entry, "--tell", JSON.stringify(settings)];
  const child = spawnOrphan(process.execPath, args, {
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] },
    stdio: ["ignore", output.fd, output.fd, "pipe"],
  });
  const ready = child.stdio[3] as Socket;
  const signal = AbortSignal.timeout(patienceMs);
  await Promise.all([once(child, "exit", { signal }), once(ready.resume(), "close", { signal })]);
}
