import { setTimeout as pause } from "node:timers/promises";
import type { TestApp, TestEndpoint } from "./data-endpoint.ts";

/** An app that writes a numbered document every 10 ms, and tries again what was not acknowledged. */
class Writer {
  readonly acknowledged = new Set<string>();
  /** The longest time in which nothing was acknowledged, ms. */
  longestGapMs = 0;
  #last = performance.now();
  #stopped = false;
  readonly #app: TestApp;
  readonly #open = new Set<Promise<void>>();

  constructor(app: TestApp) {
    this.#app = app;
  }

  async run(): Promise<void> {
    for (let n = 0; !this.#stopped; n += 1) {
      const writing = this.#write(`n${n}`, n).finally(() => this.#open.delete(writing));
      this.#open.add(writing);
      await pause(10);
    }
    await Promise.all(this.#open);
  }

  async #write(id: string, n: number): Promise<void> {
    for (;;) {
      const status = await this.#app.ask("PUT", `/${id}`, { n }).then(
        (answer) => answer.status,
        () => 0, // The connection was cut: as unknown as a 503.
      );
      // 409: an attempt that was not acknowledged had been written all the same.
      if (status === 201 || status === 409) return this.#note(id);
      if (status !== 503 && status !== 0) throw new Error(`a write was answered with ${status}`);
      await pause(50);
    }
  }

  #note(id: string): void {
    this.acknowledged.add(id);
    this.longestGapMs = Math.max(this.longestGapMs, performance.now() - this.#last);
    this.#last = performance.now();
  }

  /** Begins a new measurement. */
  takeGap(): number {
    const gap = this.longestGapMs;
    this.longestGapMs = 0;
    return gap;
  }

  stop(): void {
    this.#stopped = true;
  }
}

export type Story = { acknowledged: number; gapsMs: number[]; lost: { local: string[]; remote: string[] } };

/**
 * The local database is killed and comes back, at random moments, while an app writes. In the end each document that was
 * acknowledged has to be in both homes.
 */
export async function failoverStory(endpoint: TestEndpoint, app: TestApp, rounds: number): Promise<Story> {
  const name = app.account.app;
  await app.ask("GET", "");
  await endpoint.until(name, ({ directions }) => directions.every(({ state }) => state === "idle"));
  const writer = new Writer(app);
  const written = writer.run();
  const gapsMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await pause(Math.random() * 1000);
    writer.takeGap();
    await endpoint.local.kill("SIGKILL");
    await endpoint.until(name, ({ side }) => side === "remote");
    await pause(Math.random() * 1000);
    await endpoint.local.serve();
    await endpoint.until(name, ({ side }) => side === "local");
    await pause(100);
    gapsMs.push(writer.takeGap());
  }
  writer.stop();
  await written;
  const acknowledged = [...writer.acknowledged];
  await untilBoth(endpoint, app, acknowledged.length);
  return { acknowledged: acknowledged.length, gapsMs, lost: await missing(endpoint, app, acknowledged) };
}

/** Replication is live: what is written last is in both homes a moment later. */
async function untilBoth(endpoint: TestEndpoint, app: TestApp, count: number): Promise<void> {
  const { app: name } = app.account;
  const deadline = performance.now() + 60_000;
  for (;;) {
    const here = (await app.ask("GET", "")).json().doc_count;
    const there = (await endpoint.remote.ask("GET", `/${name}`)).json().doc_count;
    if ((here >= count && there >= count) || performance.now() > deadline) return;
    await pause(100);
  }
}

async function missing(endpoint: TestEndpoint, app: TestApp, ids: readonly string[]): Promise<Story["lost"]> {
  const idsOf = (answer: { json(): { rows: { id: string }[] } }) =>
    new Set(answer.json().rows.map(({ id }) => id));
  const here = idsOf(await app.ask("GET", "/_all_docs"));
  const there = idsOf(await endpoint.remote.ask("GET", `/${app.account.app}/_all_docs`));
  return { local: ids.filter((id) => !here.has(id)), remote: ids.filter((id) => !there.has(id)) };
}
