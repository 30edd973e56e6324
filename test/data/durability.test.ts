import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { TestDatabase } from "../support/data.ts";

const rounds = 5;

/** Writes from several sides at once, and notes each document that was acknowledged, with its revision. */
class Load {
  readonly acknowledged = new Map<string, string>();
  readonly #database: TestDatabase;
  readonly #prefix: string;
  #stopped = false;
  #wanted = Promise.withResolvers<void>();
  #target: number;

  constructor(database: TestDatabase, prefix: string, target: number) {
    this.#database = database;
    this.#prefix = prefix;
    this.#target = target;
  }

  /** Resolves when as many documents have been acknowledged as the load was to reach; the writers go on. */
  start(): { reached: Promise<void>; ended: Promise<unknown> } {
    const writers = [0, 1, 2, 3].map((writer) => (writer < 2 ? this.#singly(writer) : this.#inBulk(writer)));
    return { reached: this.#wanted.promise, ended: Promise.all(writers) };
  }

  async #singly(writer: number): Promise<void> {
    for (let n = 0; !this.#stopped; n += 1) {
      const id = `${this.#prefix}-${writer}-${n}`;
      await this.#write(() => this.#database.ask("PUT", `/load/${id}`, { n, text: "x".repeat(200) }));
    }
  }

  async #inBulk(writer: number): Promise<void> {
    for (let n = 0; !this.#stopped; n += 1) {
      const docs = Array.from({ length: 20 }, (_, index) => ({
        _id: `${this.#prefix}-${writer}-${n}-${index}`,
        _attachments: { a: { content_type: "text/plain", data: Buffer.from(`${n}`).toString("base64") } },
      }));
      await this.#write(() => this.#database.ask("POST", "/load/_bulk_docs", { docs }));
    }
  }

  async #write(work: () => ReturnType<TestDatabase["ask"]>): Promise<void> {
    try {
      const answer = await work();
      const written: { ok?: true; id: string; rev: string }[] = [answer.json()].flat();
      for (const { ok, id, rev } of written) if (ok) this.acknowledged.set(id, rev);
      if (this.acknowledged.size >= this.#target) this.#wanted.resolve();
    } catch {
      this.#stopped = true; // The server was killed: this write was not acknowledged.
    }
  }
}

describe("the embedded database, killed in the middle of writes", () => {
  it(`has everything that it acknowledged, ${rounds} times`, async () => {
    await using database = await TestDatabase.start();
    await database.ask("PUT", "/load");
    const acknowledged = new Map<string, string>();
    for (let round = 0; round < rounds; round += 1) {
      const load = new Load(database, `r${round}`, Math.floor(100 + Math.random() * 500));
      const { reached, ended } = load.start();
      await reached;
      await database.kill("SIGKILL");
      await ended;
      await database.serve();
      for (const [id, rev] of load.acknowledged) acknowledged.set(id, rev);
      const { rows } = (await database.ask("GET", "/load/_all_docs")).json();
      const kept = new Map(
        rows.map(({ id, value }: { id: string; value: { rev: string } }) => [id, value.rev]),
      );
      const lost = [...acknowledged].filter(([id, rev]) => kept.get(id) !== rev);
      expect(lost, `round ${round}`).toEqual([]);
      const { doc_count } = (await database.ask("GET", "/load")).json();
      expect(doc_count).toBe(rows.length);
    }
    const [id] = [...acknowledged.keys()].filter((key) => key.split("-").length === 4);
    expect((await database.ask("GET", `/load/${id}/a`)).status).toBe(200);
  });

  it("syncs what it acknowledges to the disk, and not only to the system's memory", async ({ skip }) => {
    skip(spawnSync("strace", ["-V"]).status !== 0, "strace is not installed");
    await using database = await TestDatabase.start();
    await database.ask("PUT", "/synced");
    const calls = await countSyncs(database.pid, async () => {
      for (let n = 0; n < 10; n += 1) await database.ask("PUT", `/synced/${n}`, { n });
    });
    expect(calls).toBeGreaterThanOrEqual(10);
  });
});

/** How often a process calls fdatasync(2) or fsync(2) while something is done. */
async function countSyncs(pid: number, work: () => Promise<void>): Promise<number> {
  const args = ["-f", "-e", "trace=fsync,fdatasync", "-p", String(pid)];
  const trace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  const attached = Promise.withResolvers<void>();
  trace.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (text.includes("attached")) attached.resolve();
  });
  await attached.promise;
  await work();
  trace.kill("SIGINT");
  await once(trace, "exit");
  return (text.match(/(?:fsync|fdatasync)\(/g) ?? []).length;
}
