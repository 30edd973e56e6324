import { afterEach, describe, expect, it, vi } from "vitest";
import { Stamps } from "../../src/lib/stamp.ts";

afterEach(() => {
  vi.useRealTimers();
});

const at = (time: string) => vi.useFakeTimers({ now: new Date(time), toFake: ["Date"] });

describe("stamps", () => {
  it("sort in the order in which they were given, and none is given twice", () => {
    at("2026-11-20T12:00:00Z");
    const stamps = new Stamps();
    const given = Array.from({ length: 100 }, () => stamps.next());
    expect(new Set(given).size).toBe(100);
    expect([...given].sort()).toEqual(given);
    expect(given[0]).toMatch(/^[0-9a-z]{8}$/);
  });

  it("go on rising when the clock is set back, by hours or by years", () => {
    at("2026-11-20T12:00:00Z");
    const stamps = new Stamps();
    const before = stamps.next();
    at("2016-01-01T00:00:00Z");
    const [first, second] = [stamps.next(), stamps.next()];
    expect([before, first, second].sort()).toEqual([before, first, second]);
    expect(new Set([before, first, second]).size).toBe(3);
  });

  it("are behind those of an earlier process, and nonsense does not move them", () => {
    at("2026-11-20T12:00:00Z");
    const earlier = new Stamps().next();
    at("2026-11-19T12:00:00Z");
    const stamps = new Stamps();
    for (const nonsense of ["", "zzzzzzzzzzzz", "not a stamp", "../../../x"]) stamps.seen(nonsense);
    expect(stamps.next() < earlier).toBe(true);
    stamps.seen(earlier);
    expect(stamps.next() > earlier).toBe(true);
  });
});
