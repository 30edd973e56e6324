import { once } from "node:events";
import { watch } from "node:fs";
import { appendFile, mkdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectChannel } from "../../src/lib/channel.ts";
import { namesIn } from "../../src/lib/directory.ts";
import { keptExchanges } from "../../src/lib/kept-exchanges.ts";
import { AppLogs } from "../../src/logs/app-logs.ts";
import { partsOf } from "../../src/logs/parts.ts";
import { collect, end, LogHome, numbersOf, textOf } from "../support/logs.ts";

const mega = 1024 * 1024;
let home: LogHome;
let log: string;
beforeEach(async () => {
  home = await LogHome.create();
  log = home.log();
});
afterEach(() => home[Symbol.asyncDispose]());

/** The numbers from `last - count + 1` to `last`. */
const upTo = (last: number, count: number) =>
  Array.from({ length: count }, (_, index) => last - count + 1 + index);

/** All of a log's lines that are kept, as they are read back. */
const recent = async () =>
  numbersOf((await new AppLogs(home.home).recent({ app: "shop", lines: 100_000 })).map(({ text }) => text));

describe("a log that is written fast", () => {
  const bounds = { partBytes: mega, parts: 3 };
  const count = 100_000; // about 8.5 MB

  it("is bounded, and of what is kept every line is there once and in order", async () => {
    await home.keeper(bounds);
    const following = collect(log);
    await once(home.writer(log, count, 50), "exit");
    await home.untilKept(log, bounds);
    // Who follows sees every line, across all rotations.
    expect(numbersOf(await following.until(count))).toEqual(upTo(count, count));
    await following.end();

    const numbers = await recent();
    // The first one may be the end of a line whose beginning is gone.
    expect(numbers.slice(1)).toEqual(upTo(count, numbers.length - 1));
    const parts = await partsOf(log);
    expect(parts).toHaveLength(2);
    expect(numbers.length).toBeGreaterThan(20_000);
    // On the disk, the log itself is only what is not cut off.
    const { blocks, size } = await stat(log);
    expect(size).toBeGreaterThan(7 * mega);
    expect(blocks * 512).toBeLessThan(1.5 * mega);
    for (const part of parts) expect(part.end - part.start).toBe(mega);
  });

  it("loses and doubles nothing when its keeper is killed at any moment", async () => {
    const all = { partBytes: mega / 4, parts: 1000 };
    const following = collect(log);
    const writer = home.writer(log, count, 15);
    const written = once(writer, "exit");
    // A kill at every third thing that a keeper does here: between copy, rename, hole and the times.
    let kills = 0;
    while (writer.exitCode === null) {
      const keeper = await home.keeper(all);
      let seen = 0;
      const watcher = watch(dirname(log), (_, name) => {
        if (name !== null && /\.(\d+|tmp|times)$/.test(name)) seen += 1;
        if (seen >= (kills * 3) % 17) keeper.kill("SIGKILL");
      });
      await Promise.race([once(keeper, "exit"), written]);
      watcher.close();
      await end(keeper, "SIGKILL");
      kills += 1;
    }
    expect(kills).toBeGreaterThan(1);
    await home.keeper(all);
    await home.untilKept(log, all);
    expect((await partsOf(log)).length).toBeGreaterThan(20);
    expect(await recent()).toEqual(upTo(count, count));
    expect(numbersOf(await following.until(count))).toEqual(upTo(count, count));
    await following.end();
  });
});

describe("a keeper", () => {
  const bounds = { partBytes: 64 * 1024, parts: 4 };

  it("is alone on its home", async () => {
    await home.keeper(bounds);
    const second = await home.keeper(bounds);
    if (second.exitCode === null) await once(second, "exit");
    expect(second.exitCode).toBe(1);
    const channel = await connectChannel(home.settings(bounds).control, keptExchanges);
    const { pid } = await channel.ask("status", {});
    expect(pid).not.toBe(second.pid);
    channel.close();
  });

  it("leaves when it is told to, and notes before it goes what came last", async () => {
    const keeper = await home.keeper(bounds);
    const channel = await connectChannel(home.settings(bounds).control, keptExchanges);
    await writeFile(log, "last\n");
    const exited = once(keeper, "exit");
    await channel.ask("leave", {});
    await channel.closed;
    expect(await exited).toEqual([0, null]);
    expect(await textOf(`${log}.times`)).toMatch(/^5 \d{13}\n$/);
    expect(await namesIn(join(home.home, "run"))).toEqual([]);
  });

  it("keeps the logs of an app that comes while it runs", async () => {
    await home.keeper(bounds);
    const other = join(home.home, "apps", "blog", "logs", "web.1.v1.mabcdefg.err.log");
    const channel = await connectChannel(home.settings(bounds).control, keptExchanges);
    await mkdir(dirname(other), { recursive: true });
    await writeFile(other, "one\n");
    const noted = Promise.withResolvers<void>();
    const watcher = watch(dirname(other), async () => {
      if ((await textOf(`${other}.times`)) !== "") noted.resolve();
    });
    if ((await textOf(`${other}.times`)) !== "") noted.resolve();
    await noted.promise;
    watcher.close();
    expect(await channel.ask("status", {})).toMatchObject({ apps: 2, logs: 1 });
    channel.close();
  });

  it("forgets a log that its app begins anew", async () => {
    await home.keeper(bounds);
    await writeFile(log, `${"before\n".repeat(50_000)}`);
    await home.untilKept(log, bounds);
    expect((await partsOf(log)).length).toBe(3);
    await truncate(log);
    await appendFile(log, "1 after\n2 after\n");
    await home.until(async () => (await partsOf(log)).length === 0);
    await home.untilKept(log, bounds);
    expect(await recent()).toEqual([1, 2]);
  });

  it("removes what lies beside a log that is gone", async () => {
    await writeFile(`${log}.0`, "x");
    await writeFile(`${log}.4096.tmp`, "x");
    await writeFile(`${log}.times`, "1 1\n");
    await writeFile(home.log("notes.txt"), "somebody's");
    await home.keeper(bounds);
    await home.until(async () => (await namesIn(home.directory)).length === 1);
    expect(await namesIn(home.directory)).toEqual(["notes.txt"]);
  });

  it("mends a file of times that somebody damaged", async () => {
    await writeFile(log, "one\ntwo\n");
    await writeFile(`${log}.times`, "4 1700000000000\nnonsense\n2 5\n8 1700000001000\n99 17000");
    await home.keeper(bounds);
    await home.until(async () => !(await textOf(`${log}.times`)).includes("nonsense"));
    expect(await textOf(`${log}.times`)).toBe("4 1700000000000\n8 1700000001000\n");
    await appendFile(log, "three\n");
    await home.untilKept(log, bounds);
    expect(await readFile(`${log}.times`, "utf8")).toMatch(/1700000001000\n14 \d{13}\n$/);
  });

  it("loses no line to times that speak of more than there is", async () => {
    await writeFile(log, "1\n2\n");
    await writeFile(`${log}.0`, "");
    await writeFile(`${log}.times`, "999999 1700000000000\n");
    await home.keeper(bounds);
    await home.untilKept(log, bounds);
    expect(await recent()).toEqual([1, 2]);
  });

  it("goes on when the directory of its logs is removed and comes again", async () => {
    await home.keeper(bounds);
    await writeFile(log, "one\n");
    await home.untilKept(log, bounds);
    await rm(home.directory, { recursive: true, maxRetries: 5 });
    await mkdir(home.directory);
    await writeFile(log, "one more\n");
    await home.untilKept(log, bounds);
    expect(await textOf(`${log}.times`)).toMatch(/^9 /);
  });
});

it("a log that its app made longer than it is costs its keeper no more than what is kept", async () => {
  const bounds = { partBytes: mega, parts: 3 };
  await home.keeper(bounds);
  await writeFile(log, "first\n");
  await truncate(log, 2 ** 40);
  await appendFile(log, "last\n");
  await home.untilKept(log, bounds);
  const { blocks } = await stat(log);
  expect(blocks * 512).toBeLessThan(2 * mega);
  const [line] = await new AppLogs(home.home).recent({ app: "shop", lines: 1 });
  expect(line?.text.replaceAll("\0", "")).toBe("last");
});
