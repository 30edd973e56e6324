import { appendFile, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LogLine } from "../../src/app/reports.ts";
import { AppLogs } from "../../src/logs/app-logs.ts";
import { cutOff } from "../../src/logs/cut.ts";
import { blockBytes } from "../../src/logs/parts.ts";
import { LogHome } from "../support/logs.ts";

let home: LogHome;
let logs: AppLogs;
beforeEach(async () => {
  home = await LogHome.create();
  logs = new AppLogs(home.home);
});
afterEach(() => home[Symbol.asyncDispose]());

const noon = Date.UTC(2026, 0, 1, 12);

/** A log, and marks of it as [offset, seconds after noon]; its last write is that of the last mark. */
async function write(name: string, content: string, marks: [offset: number, seconds: number][] = []) {
  const log = home.log(name);
  await writeFile(log, content);
  const text = marks.map(([offset, seconds]) => `${offset} ${noon + seconds * 1000}\n`).join("");
  if (marks.length > 0) await writeFile(`${log}.times`, text);
  const last = new Date(noon + (marks.at(-1)?.[1] ?? 0) * 1000);
  await utimes(log, last, last);
  return log;
}

const request = { app: "shop", lines: 100 };
const show = ({ instance, stream, text, at }: LogLine) =>
  `${at === undefined ? "-" : (Date.parse(at) - noon) / 1000} ${instance} ${stream === "stderr" ? "!" : ""}${text}`;
const recent = async (changes: Partial<Parameters<AppLogs["recent"]>[0]> = {}) =>
  (await logs.recent({ ...request, ...changes })).map(show);

describe("what was written", () => {
  it("comes in the order of time, both outputs and all instances, with its times", async () => {
    await write("web.1.v1.mabcdefg.out.log", "a\nb\nc\n", [
      [2, 1],
      [6, 5],
    ]);
    await write("web.1.v1.mabcdefg.err.log", "oh\nno\n", [
      [3, 2],
      [6, 5],
    ]);
    await write("worker.1.v1.mabcdefh.out.log", "x\ny", [
      [2, 4],
      [3, 6],
    ]);
    const all = [
      "1 web.1 a",
      "2 web.1 !oh",
      "4 worker.1 x",
      "5 web.1 b",
      "5 web.1 c",
      "5 web.1 !no",
      "6 worker.1 y",
    ];
    expect(await recent()).toEqual(all);
    for (const count of [0, 1, 3, 5]) {
      expect(await recent({ lines: count })).toEqual(count === 0 ? [] : all.slice(-count));
    }
    expect(await recent({ processType: "worker" })).toEqual(["4 worker.1 x", "6 worker.1 y"]);
  });

  it("has no time where nobody noted it, and stays in its order", async () => {
    await write("web.1.v1.mabcdefg.out.log", "a\nb\n", [
      [2, 1],
      [4, 9],
    ]);
    const log = await write("web.1.v1.mabcdefg.err.log", "1\n2\n3\n");
    await writeFile(`${log}.times`, `2 0\n6 ${noon + 5000}\n`);
    await utimes(log, new Date(noon + 5000), new Date(noon + 5000));
    expect(await recent()).toEqual(["1 web.1 a", "- web.1 !1", "5 web.1 !2", "5 web.1 !3", "9 web.1 b"]);
    await rm(`${log}.times`);
    expect((await recent()).map((line) => line.replace(/^\d+ /, ""))).toEqual([
      "web.1 a",
      "web.1 !1",
      "web.1 !2",
      "web.1 !3",
      "web.1 b",
    ]);
  });

  it.each([
    ["nonsense", "what is this\n\u0000\u0001"],
    ["cut off in a number", `2 ${noon + 1000}\n4 17`],
    ["backwards", `6 ${noon + 1000}\n4 ${noon + 1000}\n`],
    ["of the future", `2 ${noon + 1000}\n6 99999999999999\n`],
  ])("is not lost when its times are %s", async (_, times) => {
    const log = await write("web.1.v1.mabcdefg.out.log", "a\nb\nc\n");
    await writeFile(`${log}.times`, times);
    expect((await logs.recent(request)).map(({ text }) => text)).toEqual(["a", "b", "c"]);
  });

  it("is found in the times of a log of many", async () => {
    const count = 20_000;
    const lines = Array.from({ length: count }, (_, index) => `${String(index).padStart(9, "0")}\n`);
    const marks = lines.map((_, index): [number, number] => [(index + 1) * 10, index]);
    await write("web.1.v1.mabcdefg.out.log", lines.join(""), marks);
    const shown = await recent({ lines: 15_000 });
    expect(shown).toHaveLength(15_000);
    expect(shown[0]).toBe(`5000 web.1 ${String(5000).padStart(9, "0")}`);
    expect(shown.at(-1)).toBe(`19999 web.1 ${String(19_999).padStart(9, "0")}`);
  });
});

describe("following", () => {
  /** Follows; `until` resolves with the lines so far when one fits. */
  function following(changes: Partial<Parameters<AppLogs["follow"]>[0]> = {}) {
    const stop = new AbortController();
    const lines: LogLine[] = [];
    let changed = Promise.withResolvers<void>();
    const onLine = (line: LogLine) => {
      lines.push(line);
      changed.resolve();
    };
    const ended = logs.follow({ ...request, ...changes }, onLine, stop.signal);
    return {
      lines,
      async until(text: string): Promise<string[]> {
        while (!lines.some((line) => line.text === text)) {
          await changed.promise;
          changed = Promise.withResolvers();
        }
        return lines.map((line) => line.text);
      },
      async end(): Promise<void> {
        stop.abort();
        await ended;
      },
    };
  }

  it("gives the last lines by time, then those that come, of later instances too, with their time", async () => {
    const out = await write("web.1.v1.mabcdefg.out.log", "a\nb\n", [
      [2, 1],
      [4, 3],
    ]);
    const err = await write("web.1.v1.mabcdefg.err.log", "oh\n", [[3, 2]]);
    const follower = following({ lines: 2 });
    await follower.until("b");
    const began = Date.now();
    await appendFile(err, "no\n");
    await follower.until("no");
    await appendFile(out, "c\n");
    await follower.until("c");
    await writeFile(home.log("web.1.v2.mabcdefh.out.log"), "hello\n");
    expect(await follower.until("hello")).toEqual(["oh", "b", "no", "c", "hello"]);
    await follower.end();
    expect(follower.lines.slice(0, 2).map(show)).toEqual(["2 web.1 !oh", "3 web.1 b"]);
    for (const { at } of follower.lines.slice(2)) expect(Date.parse(at ?? "")).toBeGreaterThanOrEqual(began);
    expect(follower.lines.at(-1)).toMatchObject({ instance: "web.1", release: 2, stream: "stdout" });
  });

  it("goes on across a cut without losing or doubling a line", async () => {
    const lines = Array.from({ length: 4000 }, (_, index) => `line ${index}`);
    const log = await write("web.1.v1.mabcdefg.out.log", `${lines.join("\n")}\n`);
    const follower = following({ lines: 3 });
    await follower.until("line 3999");
    await cutOff(log, 0, 5 * blockBytes);
    await appendFile(log, "after\n");
    expect(await follower.until("after")).toEqual(["line 3997", "line 3998", "line 3999", "after"]);
    await follower.end();
  });

  it("goes on behind the lines that were seen, where the log was cut meanwhile, and in all others", async () => {
    const out = await write("web.1.v1.mabcdefg.out.log", "");
    const err = await write("web.1.v1.mabcdefg.err.log", "old\n", [[4, 0]]);
    const first = following();
    await appendFile(out, `one\n${"x".repeat(3 * blockBytes)}\ntwo\n`);
    await first.until("two");
    await first.end();
    const seen = first.lines.filter(({ cursor }) => cursor !== undefined);
    const cursor = seen.find(({ text }) => text === "one")?.cursor ?? expect.fail("no cursor");

    await cutOff(out, 0, 2 * blockBytes);
    await appendFile(out, "three\n");
    await appendFile(err, "new\n");
    await writeFile(home.log("web.1.v2.mabcdefh.out.log"), "next\n");
    const second = following({ after: [cursor] });
    for (const text of ["three", "new", "next"]) await second.until(text);
    await second.end();
    const texts = second.lines.map(({ text }) => text.replace(/^x+$/, "x"));
    expect(texts.toSorted()).toEqual(["new", "next", "three", "two", "x"]);
    expect(texts.filter((text) => ["x", "two", "three"].includes(text))).toEqual(["x", "two", "three"]);
  });
});

it("of instances that ended long ago nothing is left, of ten and the living all", async () => {
  for (let instance = 0; instance < 13; instance += 1) {
    const log = await write(`web.1.v1.mabcdef${instance.toString(36)}.out.log`, "a\n", [[2, 1]]);
    await writeFile(`${log}.0`, "");
  }
  await writeFile(home.log("notes.txt"), "");
  const living = logs.outputOf("shop", "web.1.v1.mabcdef0");
  await logs.sweep("shop", [living]);
  const left = (await readdir(home.directory)).map((name) => name.split(".")[3] ?? name);
  const kept = ["0", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c"].map((end) => `mabcdef${end}`);
  expect(left.sort()).toEqual([...kept.flatMap((stamp) => [stamp, stamp, stamp]), "notes.txt"].sort());
});
