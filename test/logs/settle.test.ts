import { appendFile, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cutOff, punch, ShortenedError } from "../../src/logs/cut.ts";
import { LogFile } from "../../src/logs/log-file.ts";
import { partPath, sideFilesOf } from "../../src/logs/names.ts";
import { blockBytes, partsOf } from "../../src/logs/parts.ts";
import { settle } from "../../src/logs/settle.ts";
import { LogHome } from "../support/logs.ts";

let home: LogHome;
let log: string;
beforeEach(async () => {
  home = await LogHome.create();
  log = home.log();
});
afterEach(() => home[Symbol.asyncDispose]());

const twoBlocks = 2 * blockBytes;
const lines = Array.from({ length: 4000 }, (_, index) => `line ${index}\n`).join("");
const whole = Buffer.from(lines);

/** All of a log, as a reader finds it. */
async function contentOf(path: string): Promise<string> {
  await using file = (await LogFile.open(path)) ?? expect.fail("no log");
  const { size } = await file.stat();
  const { pieces, end } = await file.read(0, size);
  expect(end).toBe(size);
  return Buffer.concat(pieces.map(({ bytes }) => bytes)).toString();
}

const ends = async () => (await partsOf(log)).map(({ start, end }) => [start, end]);
const allocated = async () => (await stat(log)).blocks * 512;

describe("a log that was cut", () => {
  it("is the same to a reader, and smaller on the disk", async () => {
    await writeFile(log, lines);
    await cutOff(log, 0, twoBlocks);
    await cutOff(log, twoBlocks, 2 * twoBlocks);
    expect(await contentOf(log)).toBe(lines);
    expect(await ends()).toEqual([
      [0, twoBlocks],
      [twoBlocks, 2 * twoBlocks],
    ]);
    expect(await allocated()).toBeLessThanOrEqual(whole.length - 2 * twoBlocks + blockBytes);
    expect(await settle(log)).toHaveLength(2);
    await appendFile(log, "more\n");
    expect(await contentOf(log)).toBe(`${lines}more\n`);
  });

  it("is left as it was when it becomes shorter meanwhile", async () => {
    await writeFile(log, lines);
    await expect(cutOff(log, 0, 100 * twoBlocks)).rejects.toThrow(ShortenedError);
    expect(await contentOf(log)).toBe(lines);
    await settle(log);
    expect(await sideFilesOf(log)).toEqual([]);
  });

  it("has its pieces from wherever it is read, also across what is gone", async () => {
    await writeFile(log, lines);
    await cutOff(log, 0, twoBlocks);
    await cutOff(log, twoBlocks, 2 * twoBlocks);
    await truncate(partPath(log, 0), 5000);
    await using file = (await LogFile.open(log)) ?? expect.fail("no log");
    const { pieces } = await file.read(10, whole.length);
    // What is left of a block that was shortened in the middle is filled with NULs.
    expect(pieces.map(({ offset, bytes }) => [offset, offset + bytes.length])).toEqual([[10, whole.length]]);
    await truncate(partPath(log, 0), blockBytes);
    const again = await file.read(10, whole.length);
    expect(again.pieces.map(({ offset, bytes }) => [offset, bytes.toString()])).toEqual([
      [10, whole.subarray(10, blockBytes).toString()],
      [twoBlocks, whole.subarray(twoBlocks).toString()],
    ]);
  });
});

describe("what a killed keeper left", () => {
  it("half a copy: is removed", async () => {
    await writeFile(log, lines);
    await writeFile(`${partPath(log, 0)}.tmp`, lines.slice(0, 5000));
    expect(await contentOf(log)).toBe(lines);
    expect(await settle(log)).toEqual([]);
    expect(await sideFilesOf(log)).toEqual([]);
    expect(await contentOf(log)).toBe(lines);
  });

  it("a part whose bytes are still in the log: they are given back", async () => {
    await writeFile(log, lines);
    await cutOff(log, 0, blockBytes);
    await writeFile(partPath(log, blockBytes), whole.subarray(blockBytes, 4 * blockBytes));
    expect(await contentOf(log)).toBe(lines);
    const before = await allocated();
    expect(await settle(log)).toHaveLength(2);
    expect(await allocated()).toBe(before - 3 * blockBytes);
    expect(await contentOf(log)).toBe(lines);
  });

  it("a hole that is punched only in part, such as by a power cut: is completed", async () => {
    await writeFile(log, lines);
    await writeFile(partPath(log, 0), whole.subarray(0, 4 * blockBytes));
    await punch(log, blockBytes);
    expect(await contentOf(log)).toBe(lines);
    await settle(log);
    const { blocks } = await stat(log);
    expect(blocks * 512).toBeLessThanOrEqual(whole.length - 3 * blockBytes);
    expect(await contentOf(log)).toBe(lines);
  });
});

describe("a log and parts that do not belong together", () => {
  const begunAnew: [name: string, content: string][] = [
    ["empty", ""],
    ["shorter than its parts", "new\n"],
    ["shorter than its parts, and begins with a hole", "\0\0\0\0new\n"],
    ["longer than its parts", "new\n".repeat(10_000)],
  ];
  it.each(begunAnew)("a log that was begun anew and is %s has no parts", async (_, content) => {
    await writeFile(log, lines);
    await cutOff(log, 0, twoBlocks);
    await cutOff(log, twoBlocks, 2 * twoBlocks);
    await writeFile(log, content);
    expect(await contentOf(log)).toBe(content);
    expect(await settle(log)).toBeNull();
    expect(await sideFilesOf(log)).toEqual([]);
    expect(await contentOf(log)).toBe(content);
  });

  it("a part that somebody wrote to ends where the log goes on", async () => {
    await writeFile(log, lines);
    await cutOff(log, 0, twoBlocks);
    await appendFile(partPath(log, 0), "by hand\n".repeat(2000));
    expect((await settle(log))?.map(({ end }) => end)).toEqual([twoBlocks]);
    expect(await contentOf(log)).toBe(lines);
  });

  it("a part that somebody changed before its bytes were given back ends before the change", async () => {
    await writeFile(log, lines);
    const changed = Buffer.from(whole.subarray(0, 3 * blockBytes));
    changed.write("by hand", twoBlocks + 10);
    await writeFile(partPath(log, 0), changed);
    expect((await settle(log))?.map(({ end }) => end)).toEqual([twoBlocks]);
    expect((await readFile(partPath(log, 0))).equals(whole.subarray(0, twoBlocks))).toBe(true);
    expect(await contentOf(log)).toBe(lines);
  });
});
