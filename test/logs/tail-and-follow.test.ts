import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { follow } from "../../src/logs/follow.ts";
import type { Line } from "../../src/logs/lines.ts";
import { lastLines, tail as tailOf } from "../../src/logs/tail.ts";

let directory: string;
let log: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "logs-test-"));
  log = join(directory, "out.log");
});
afterEach(() => rm(directory, { recursive: true }));

/** The texts of a tail. */
async function tail(path: string, count: number) {
  const { lines, unfinished, end } = await tailOf(path, count);
  return { lines: lines.map(({ text }) => text), unfinished: unfinished?.text ?? null, end };
}

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`);

describe("the tail of a log", () => {
  it("is its last lines, oldest first", async () => {
    await writeFile(log, "one\ntwo\r\nthree\n");
    expect(await tail(log, 2)).toEqual({ lines: ["two", "three"], unfinished: null, end: 15 });
    expect((await tail(log, 3)).lines).toEqual(["one", "two", "three"]);
    expect((await tail(log, 99)).lines).toEqual(["one", "two", "three"]);
    expect((await tail(log, 0)).lines).toEqual([]);
  });

  it("keeps empty lines, and tells an unfinished line apart", async () => {
    await writeFile(log, "\n\none\nrest");
    expect(await tail(log, 99)).toEqual({ lines: ["", "", "one"], unfinished: "rest", end: 6 });
    expect(await tail(log, 2)).toEqual({ lines: ["", "one"], unfinished: "rest", end: 6 });
    await writeFile(log, "rest");
    expect(await tail(log, 2)).toEqual({ lines: [], unfinished: "rest", end: 0 });
  });

  it("is nothing when the log is empty or not there", async () => {
    const nothing = { lines: [], unfinished: null, end: 0 };
    expect(await tail(log, 5)).toEqual(nothing);
    await writeFile(log, "");
    expect(await tail(log, 5)).toEqual(nothing);
  });

  it("is found in a log of many blocks", async () => {
    const lines = numbered(1, 50_000);
    await writeFile(log, `${lines.join("\n")}\n`);
    for (const count of [1, 10, 6000, 20_000])
      expect((await tail(log, count)).lines).toEqual(lines.slice(-count));
  });

  it("gives a line without end in pieces, and does not read all of it", async () => {
    await writeFile(log, `${"x".repeat(10_000_000)}\nlast\n`);
    const { lines } = await tail(log, 2);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toBe("last");
    expect(lines[0]?.length).toBeLessThanOrEqual(65_536);
  });

  it("knows where its lines end", async () => {
    await writeFile(log, "one\ntwo\r\nrest");
    expect(await tailOf(log, 1)).toEqual({
      lines: [{ text: "two", end: 9 }],
      unfinished: { text: "rest", end: 13 },
      end: 9,
    });
  });

  it("does not show the hole that rotation in place leaves at the beginning", async () => {
    await writeFile(log, `${"\0".repeat(8192)}half a line\nwhole\n`);
    expect((await tail(log, 5)).lines).toEqual(["half a line", "whole"]);
  });
});

describe("the last lines of several logs", () => {
  it("come log by log, the unfinished ones too", async () => {
    const errors = join(directory, "err.log");
    await writeFile(log, "a\nb\nc");
    await writeFile(errors, "d\ne\n");
    expect(await lastLines([log, errors], 4)).toEqual(["b", "c", "d", "e"]);
    expect(await lastLines([join(directory, "none")], 4)).toEqual([]);
  });
});

describe("following a log", () => {
  /** Collects lines; `until(n)` resolves when n lines have come. */
  function collect(from = 0) {
    const stop = new AbortController();
    const lines: string[] = [];
    let changed = Promise.withResolvers<void>();
    const onLine = (name: string, { text }: Line) => {
      expect(name).toBe("out.log");
      lines.push(text);
      changed.resolve();
      changed = Promise.withResolvers();
    };
    const ended = follow(directory, {
      from: (name) => (name === "out.log" ? from : null),
      signal: stop.signal,
      onLine,
    });
    const until = async (count: number) => {
      while (lines.length < count) await changed.promise;
      return lines;
    };
    const end = async () => {
      stop.abort();
      await ended;
    };
    return { until, end };
  }

  it("gives what is there and what comes, from where the tail ended", async () => {
    await writeFile(log, "old\nhalf");
    const { end } = await tail(log, 10);
    const following = collect(end);
    await appendFile(log, " and half\n");
    await following.until(1);
    await appendFile(log, "next\n");
    expect(await following.until(2)).toEqual(["half and half", "next"]);
    await following.end();
  });

  it("keeps characters whole that are written in two parts", async () => {
    await writeFile(log, "");
    const following = collect();
    const bytes = Buffer.from("grüße 🎻\nx\n");
    for (let at = 0; at < bytes.length; at += 1) await appendFile(log, bytes.subarray(at, at + 1));
    expect(await following.until(2)).toEqual(["grüße 🎻", "x"]);
    await following.end();
  });

  it("waits for a log that is not there yet", async () => {
    const following = collect();
    await writeFile(log, "first\n");
    expect(await following.until(1)).toEqual(["first"]);
    await following.end();
  });

  it("begins again when the log is cut off in place", async () => {
    await writeFile(log, "one\ntwo\n");
    const following = collect();
    await following.until(2);
    await truncate(log);
    await appendFile(log, "3\n");
    expect(await following.until(3)).toEqual(["one", "two", "3"]);
    await following.end();
  });

  it("goes over to a log that takes its place", async () => {
    await writeFile(log, "one\n");
    const following = collect();
    await following.until(1);
    await writeFile(`${log}.new`, "other one\n");
    await rename(`${log}.new`, log);
    expect(await following.until(2)).toEqual(["one", "other one"]);
    await following.end();
  });

  it("loses nothing of a log that is written fast", async () => {
    await writeFile(log, "");
    const following = collect();
    const lines = numbered(1, 20_000);
    for (let at = 0; at < lines.length; at += 100) {
      await appendFile(log, `${lines.slice(at, at + 100).join("\n")}\n`);
    }
    expect(await following.until(lines.length)).toEqual(lines);
    await following.end();
  });

  it("ends when its signal aborts, and at once when it already has", async () => {
    await expect(collect().end()).resolves.toBeUndefined();
    const options = { from: () => 0, onLine: () => {}, signal: AbortSignal.abort() };
    await expect(follow(directory, options)).resolves.toBeUndefined();
  });
});
