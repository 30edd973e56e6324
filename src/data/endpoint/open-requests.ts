import { setTimeout as pause } from "node:timers/promises";

/** The requests that are under way at a database, and a gate before it that can be closed for a moment. */
export class OpenRequests {
  #gate: Promise<void> | null = null;
  #count = 0;
  /** Somebody waits for nothing to be under way. */
  #quiet: PromiseWithResolvers<void> | null = null;

  get areClosed(): boolean {
    return this.#gate !== null;
  }

  /** Resolves when the gate is open. */
  async reopened(): Promise<void> {
    while (this.#gate !== null) await this.#gate;
  }

  /** A request is under way until the returned function is called. */
  enter(): () => void {
    this.#count += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#count -= 1;
      if (this.#count === 0) this.#quiet?.resolve();
    };
  }

  /** Does something while nothing is under way, and what comes waits. Rejects when the rest does not end in time. */
  async whileClosed(patienceMs: number, work: () => Promise<void>): Promise<void> {
    const gate = Promise.withResolvers<void>();
    this.#gate = gate.promise;
    try {
      await this.#untilQuiet(patienceMs);
      await work();
    } finally {
      this.#gate = null;
      gate.resolve();
    }
  }

  async #untilQuiet(patienceMs: number): Promise<void> {
    if (this.#count === 0) return;
    this.#quiet = Promise.withResolvers();
    const inTime = await Promise.race([this.#quiet.promise.then(() => true), pause(patienceMs, false)]);
    this.#quiet = null;
    if (!inTime) throw new Error("what is under way at the remote database did not end in time");
  }
}
