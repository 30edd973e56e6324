import { describe, expect, it, test } from "vitest";
import {
  changeLimits,
  formatBytes,
  formatLimits,
  heapMegabytes,
  Limits,
  LimitsChange,
  LimitsInput,
  limitsFromWords,
  noLimits,
} from "../../src/app/limits.ts";

const M = 1024 ** 2;

describe("a limit as people write it", () => {
  it.each([
    [{ memory: "256M" }, { memory: 256 * M }],
    [{ memory: "1G" }, { memory: 1024 * M }],
    [{ memory: " 512MiB " }, { memory: 512 * M }],
    [{ memory: "512mb" }, { memory: 512 * M }],
    [{ memory: "1.5G" }, { memory: 1536 * M }],
    [{ memory: "65536 K" }, { memory: 64 * M }],
    [{ memory: "16777216" }, { memory: 16 * M }],
    [{ memory: 16 * M }, { memory: 16 * M }],
    [{ cpu: "50%" }, { cpu: 50 }],
    [{ cpu: "200%" }, { cpu: 200 }],
    [{ cpu: "1.5cores" }, { cpu: 150 }],
    [{ cpu: "1.1 cores" }, { cpu: 110 }],
    [{ cpu: "1 core" }, { cpu: 100 }],
    [{ pids: 64 }, { pids: 64 }],
    [{ pids: "64" }, { pids: 64 }],
    [
      { memory: "none", cpu: "Unlimited", pids: null },
      { memory: null, cpu: null, pids: null },
    ],
    [{}, {}],
  ])("%j is stored as %j", (written, stored) => {
    const read = LimitsInput.parse(written);
    expect(read).toEqual(stored);
    expect(LimitsChange.parse(JSON.parse(JSON.stringify(read)))).toEqual(read);
  });

  it.each([
    [{ memory: "15M" }, /"15M" is not an amount of memory from 16M up/],
    [{ memory: 256 }, /"256" is not an amount of memory/],
    [{ memory: "-1" }, /amount of memory/],
    [{ memory: "1e9" }, /amount of memory/],
    [{ memory: "M" }, /amount of memory/],
    [{ memory: "1.5.5G" }, /amount of memory/],
    [{ memory: "9999999T" }, /amount of memory/],
    [{ memory: true }, /must be an amount of memory/],
    [{ memory: Number.NaN }, /amount of memory/],
    [{ cpu: "0%" }, /"0%" is not a share of one core in whole percent from 1% up/],
    [{ cpu: "0.5%" }, /share of one core/],
    [{ cpu: "100001%" }, /share of one core/],
    [{ cpu: "2" }, /share of one core/],
    [{ cpu: 1.5 }, /share of one core/],
    [{ pids: 7 }, /"7" is not a number of processes and threads from 8 up/],
    [{ pids: "64.5" }, /number of processes/],
    [{ pids: "" }, /number of processes/],
    [{ pids: 9_999_999 }, /number of processes/],
    [{ memroy: "1G" }, /there is no limit memroy; the limits are memory, cpu and pids/],
  ])("%j is refused with what is allowed", (written, message) => {
    expect(LimitsInput.safeParse(written).error?.issues[0]?.message).toMatch(message);
  });

  it.each(["1G", 5, null, []])("%j is not several limits", (written) => {
    expect(LimitsInput.safeParse(written).success).toBe(false);
  });
});

describe("the words of a command line", () => {
  it("are handed on as they were written, since the server reads them", () => {
    const words = limitsFromWords(["memory=256M", "cpu=50%", "pids=none"]);
    expect(words).toEqual({ memory: "256M", cpu: "50%", pids: "none" });
    expect(LimitsInput.parse(words)).toEqual({ memory: 256 * M, cpu: 50, pids: null });
  });

  it.each([
    [["memory"], /"memory" is no limit; write for example memory=256M/],
    [["=5"], /is no limit/],
    [["pids="], /is no limit/],
    [["pids=9", "pids=10"], /pids is given twice/],
    [["disk=1G"], /there is no limit disk/],
    [["__proto__=1G"], /there is no limit __proto__/],
    [["cpu=2", "pids=x"], /cpu: "2" is not a share.*; pids: "x" is not a number/],
  ])("%j are refused", (words, message) => {
    expect(() => limitsFromWords(words)).toThrow(message);
    expect(() => limitsFromWords(words)).toThrow(expect.objectContaining({ code: "BAD_INPUT" }));
  });
});

describe("stored limits", () => {
  test("that say nothing are none", () => {
    expect(Limits.parse({})).toEqual(noLimits);
  });

  test.each([{ memory: 1 }, { cpu: 0 }, { cpu: 1.5 }, { pids: 0 }, { memory: "1G" }])(
    "%j are none",
    (stored) => {
      expect(Limits.safeParse(stored).success).toBe(false);
    },
  );

  test("change only where something is named", () => {
    const limits = { memory: 64 * M, cpu: 50, pids: 32 };
    expect(changeLimits(limits, { cpu: 100 })).toEqual({ ...limits, cpu: 100 });
    expect(changeLimits(limits, { memory: null })).toEqual({ ...limits, memory: null });
    expect(changeLimits(limits, {})).toEqual(limits);
  });

  test("are shown in the form in which they can be written", () => {
    expect(formatLimits({ memory: 1536 * M, cpu: 50, pids: 64 })).toBe("memory 1.5G, cpu 50%, pids 64");
    expect(formatLimits({ memory: null, cpu: 200, pids: null })).toBe("cpu 200%");
    expect(formatLimits(noLimits)).toBe("no limits");
  });
});

test.each([
  [0, "0"],
  [900, "900"],
  [1024, "1K"],
  [256 * M, "256M"],
  [255.96 * M, "256M"],
  [1024 * M - 1, "1G"],
  [1.25 * 1024 ** 4, "1.3T"],
  [5000 * 1024 ** 4, "5000T"],
])("%d bytes are shown as %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [null, null],
  [32 * M, 8],
  [64 * M, 16],
  [128 * M, 64],
  [256 * M, 192],
  [512 * M, 384],
  [4096 * M, 3072],
])("below a limit of %j bytes Node's heap is %j MiB", (memory, heap) => {
  expect(heapMegabytes({ ...noLimits, memory })).toBe(heap);
});
