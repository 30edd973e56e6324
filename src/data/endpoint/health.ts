import { setTimeout as pause } from "node:timers/promises";

export type HealthOptions = {
  /** Rejects when the server is not well; resolves with what should be known of one that is. */
  probe(signal: AbortSignal): Promise<string | null>;
  /** How many failures in a row, and how many successes, change the judgement: one alone is nothing. */
  failures: number;
  successes: number;
  /** Between probes while nothing is wrong, and while something is, ms. */
  calmMs: number;
  doubtMs: number;
  /** One that has not answered by then has failed, ms. */
  patienceMs: number;
};

/** Whether a server is well: by asking it now and then, and at once when a request to it has failed. */
export class Health {
  readonly #options: HealthOptions;
  readonly #ending = new AbortController();
  readonly #listeners = new Set<() => void>();
  #doubt = Promise.withResolvers<void>();
  #change = Promise.withResolvers<void>();
  #success = Promise.withResolvers<void>();
  #row = 0;
  /** Null: not known yet. */
  isWell: boolean | null = null;
  error: string | null = null;
  since = new Date();

  constructor(options: HealthOptions) {
    this.#options = options;
    void this.#watch();
  }

  /** A request to it has failed: it is asked at once. */
  suspect(): void {
    this.#doubt.resolve();
  }

  /** Has it asked at once; resolves when it has answered well, is judged not to be well, or is not asked any more. */
  async settled(): Promise<void> {
    this.suspect();
    if (this.isWell && !this.#ending.signal.aborted)
      await Promise.race([this.#success.promise, this.changed()]);
  }

  /** Resolves when the judgement changes. */
  changed(): Promise<void> {
    return this.#change.promise;
  }

  /** For who waits again and again: each wait for `changed` stays with it until there is a change. */
  onChange(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener), { once: true });
  }

  /** Resolves when it is known. */
  async known(): Promise<boolean> {
    while (this.isWell === null && !this.#ending.signal.aborted) await this.changed();
    return this.isWell ?? false;
  }

  /** It is not asked any more: nobody waits for what it says. */
  end(): void {
    this.#ending.abort();
    this.#doubt.resolve();
    this.#changed();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const ok = await this.#probe();
      this.#judge(ok);
      const isCalm = ok === (this.isWell ?? false) && this.isWell === true;
      const wait = isCalm ? this.#options.calmMs : this.#options.doubtMs;
      await Promise.race([
        pause(wait, undefined, { signal }).catch(() => {}),
        ...(isCalm ? [this.#doubt.promise] : []),
      ]);
      this.#doubt = Promise.withResolvers();
    }
  }

  async #probe(): Promise<boolean> {
    try {
      this.error = await this.#options.probe(AbortSignal.timeout(this.#options.patienceMs));
      this.#success.resolve();
      this.#success = Promise.withResolvers();
      return true;
    } catch (error) {
      this.error = describe(error);
      return false;
    }
  }

  #judge(ok: boolean): void {
    const agrees = ok === this.isWell;
    this.#row = agrees ? 0 : this.#row + 1;
    const needed = this.isWell === null ? 1 : ok ? this.#options.successes : this.#options.failures;
    if (agrees || this.#row < needed) return;
    this.#row = 0;
    this.isWell = ok;
    this.since = new Date();
    this.#changed();
    for (const listener of this.#listeners) listener();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

/** An error of the network, in few words and without a URL, which may hold a password. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const words = error.message.includes(code) ? error.message : `${code} ${error.message}`;
  return words.replace(/\/\/[^/@\s]*@/g, "//").slice(0, 300);
}
