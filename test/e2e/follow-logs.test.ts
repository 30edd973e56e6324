import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { LogLine } from "../../src/app/reports.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";

/** Answers with a number, and writes it as a line. */
const counting = (first: number) => `
  let count = ${first};
  require("http").createServer((request, response) => {
    count += 1;
    console.log("number " + count);
    response.end(String(count));
  }).listen(process.env.PORT, process.env.HOST);
`;

/** `maestro logs APP -f --json`, as a process of its own. */
class Follower implements AsyncDisposable {
  readonly lines: LogLine[] = [];
  readonly #child;
  readonly #waiting = new Map<string, () => void>();

  constructor(maestro: TestMaestro, app: string) {
    const words = ["logs", app, "-f", "-n", "0", "--json", "--server", maestro.rpc];
    this.#child = spawn(process.execPath, [join(repository, "bin/maestro.ts"), ...words], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface({ input: this.#child.stdout }).on("line", (text) => {
      const line = LogLine.parse(JSON.parse(text));
      this.lines.push(line);
      this.#waiting.get(line.text)?.();
    });
  }

  async until(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(text, resolve);
    if (this.lines.some((line) => line.text === text)) resolve();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGINT");
    expect(await ended).toEqual([130, null]);
  }
}

it("logs -f shows each line once, over restarts, a reload, and the death of the controller", async () => {
  await using maestro = await TestMaestro.start();
  const count = async () => (await fetchFrom(maestro.httpPort, "count.test")).body;
  await maestro.deploy("count", fixture("moody"), {
    "package.json": "{}",
    "app.js": counting(0),
    "server.js": counting(0),
  });
  const first = Number(await count());
  await using follower = new Follower(maestro, "count");
  // Where it begins nobody can say; from the first line on it must miss none.
  const hit = async (): Promise<void> => follower.until(`number ${await count()}`);
  while (follower.lines.length === 0) await Promise.race([hit(), count()]);

  const since = maestro.logLength;
  await (await maestro.client()).call("reload", {});
  await count(); // while there is no controller, or it is just there again
  await maestro.until("maestro.ready", () => true, since);
  await hit();
  await maestro.end("SIGKILL");
  await count();
  await maestro.serve();
  await hit();
  await maestro.change("count", { "app.js": counting(1000), "server.js": counting(1000) });
  await hit();

  const numbers = follower.lines.flatMap(({ text }) =>
    text.startsWith("number ") ? [Number(text.slice(7))] : [],
  );
  const old = numbers.filter((number) => number < 1000);
  expect(old).toEqual(Array.from({ length: old.length }, (_, index) => (old[0] ?? 0) + index));
  expect(old[0]).toBeGreaterThan(first - 1);
  expect(numbers.filter((number) => number > 1000).length).toBeGreaterThan(0);
  expect(new Set(follower.lines.map(({ instance, release }) => `${instance} v${release}`))).toEqual(
    new Set(["web.1 v1", "web.1 v2"]),
  );
});
