import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { isSystemError } from "../errors.ts";
import { type Channel, connectChannel } from "../lib/channel.ts";
import type { Log } from "../lib/log.ts";
import { poll } from "../lib/poll.ts";
import { isAlive, type ProcessIdentity, readProcess } from "../lib/processes.ts";
import {
  type DrainLimits,
  type ExchangeName,
  exchanges,
  siblingMs,
  type WorkerStatus,
} from "../protocol/worker.ts";

type Ask<N extends ExchangeName> = z.input<(typeof exchanges)[N]["ask"]>;
type Answer<N extends ExchangeName> = z.output<(typeof exchanges)[N]["answer"]>;

/** A worker that does not answer within this time is stuck. */
const answerMs = 10_000;

/** One proxy worker, as the controller knows it: a process behind a channel. */
export class Worker {
  readonly pid: number;
  /** The socket on which it answers. */
  readonly path: string;
  /** As it was when it was found. */
  readonly found: WorkerStatus;
  /** Whether an earlier controller started it. */
  readonly isAdopted: boolean;
  readonly #identity: ProcessIdentity | null;
  readonly #channel: Channel<typeof exchanges>;
  readonly #log: Log;

  private constructor(
    path: string,
    found: WorkerStatus,
    channel: Channel<typeof exchanges>,
    isAdopted: boolean,
    log: Log,
  ) {
    this.path = path;
    this.found = found;
    this.pid = found.pid;
    this.#identity = readProcess(found.pid);
    this.isAdopted = isAdopted;
    this.#channel = channel;
    this.#log = log;
  }

  /** Rejects when nobody answers at the path in time. */
  static async connect(path: string, { isAdopted, log }: { isAdopted: boolean; log: Log }): Promise<Worker> {
    const channel = await connectChannel(path, exchanges);
    const deadline = setTimeout(() => channel.close(), answerMs);
    try {
      return new Worker(path, await channel.ask("status", {}), channel, isAdopted, log);
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Resolves when it has ended, or has been disconnected. */
  get closed(): Promise<void> {
    return this.#channel.closed;
  }

  /** One that is stuck is ended, and the question with it. */
  async ask<N extends ExchangeName>(name: N, input: Ask<N>, withinMs = limitOf(name)): Promise<Answer<N>> {
    const deadline = setTimeout(() => this.#kill(), withinMs);
    try {
      return await this.#channel.ask(name, input);
    } finally {
      clearTimeout(deadline);
    }
  }

  drain(instance: string, limits: DrainLimits): Promise<Answer<"drain">> {
    return this.ask("drain", { instance, ...limits }, longest(limits) + answerMs);
  }

  /** It finishes what is under way, within the limits; resolves when it has ended. */
  async dismiss(limits: DrainLimits): Promise<void> {
    await this.ask("leave", limits);
    const waited = new AbortController();
    const late = pause(longest(limits) + answerMs, undefined, { signal: waited.signal }).then(
      () => this.#kill(),
      () => {}, // It has ended in time.
    );
    await this.closed;
    await this.#gone();
    waited.abort();
    await late;
  }

  /** Its process ends a moment after its channel. */
  async #gone(): Promise<void> {
    const identity = this.#identity;
    if (identity !== null) await poll(() => (isAlive(identity) ? null : true), { first: 1, most: 50 });
  }

  /** Lets it go on without a controller. */
  disconnect(): void {
    this.#channel.close();
  }

  #kill(): void {
    this.#log.error({ pid: this.pid }, "worker.stuck");
    this.#channel.close();
    try {
      process.kill(this.pid, "SIGKILL");
    } catch (error) {
      if (!isSystemError(error, "ESRCH")) throw error;
    }
  }
}

/** What waits for a process that starts is given the time for that. */
const limitOf = (name: ExchangeName) =>
  name === "sibling" || name === "table" ? siblingMs + answerMs : answerMs;

const longest = ({ requestsMs, streamsMs }: DrainLimits) => Math.max(requestsMs, streamsMs);
