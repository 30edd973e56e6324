import { describe, expect, it } from "vitest";
import type { Powers } from "../../../src/apprunner/cgroup/cgroups.ts";
import { ownHierarchies } from "../../../src/apprunner/cgroup/hierarchies.ts";
import { ended, Groups, lacking, said, startIn, startNode } from "../../support/cgroups.ts";

const M = 1024 ** 2;
type Skip = (condition: boolean, note?: string) => void;

function needs(skip: Skip, ...powers: (keyof Powers)[]): void {
  const why = lacking(ownHierarchies(), ...powers);
  skip(why !== null, why ?? "");
}

/** Takes 4 MiB at a time, at most `most` MiB, says so, and stays. */
const eat = (most: number) =>
  `const held = []; while (held.length * 4 < ${most}) held.push(Buffer.alloc(${4 * M}, 1)); console.log("ate"); setInterval(() => {}, 60_000)`;

describe("a limit of memory", () => {
  it("ends who goes above it, counts that, shows the peak, and touches no neighbour", async ({ skip }) => {
    needs(skip, "memory");
    await using groups = new Groups();
    const greedy = groups.create("greedy", { memory: 96 * M });
    const neighbour = groups.create("neighbour", { memory: 96 * M });
    const calm = startNode(neighbour, eat(8));
    expect(await said(calm)).toBe("ate");
    expect(await ended(startNode(greedy, eat(256)))).toEqual([null, "SIGKILL"]);
    expect(greedy.oomKills()).toBe(1);
    const peak = greedy.usage().memory?.peak ?? 0;
    expect(peak).toBeGreaterThan(88 * M);
    expect(peak).toBeLessThanOrEqual(96 * M);
    expect(neighbour.oomKills()).toBe(0);
    expect(neighbour.processes()).toEqual([calm.pid]);
    expect(neighbour.usage().memory?.now).toBeGreaterThan(8 * M);
  });

  it("below what is in use is refused, and changes nothing", async ({ skip }) => {
    needs(skip, "memory");
    await using groups = new Groups();
    const limits = { memory: 160 * M, cpu: null, pids: 64 };
    const group = groups.create("shop", limits);
    const eater = startNode(group, eat(64));
    await said(eater);
    const lower = { ...limits, memory: 32 * M, pids: 48 };
    expect(() => group.limit(lower)).toThrow(/shop uses [\d.]+M of memory, which cannot be limited to 32M/);
    expect(() => group.limit(lower)).toThrow(expect.objectContaining({ code: "BAD_INPUT" }));
    expect(group.processes()).toEqual([eater.pid]);
    expect(group.oomKills()).toBe(0);
    // The old limit still stands: it is the one that is met.
    expect(await ended(startNode(group, eat(256)))).toEqual([null, "SIGKILL"]);
    expect(group.usage().memory?.peak).toBeGreaterThan(150 * M);
  });

  it("can be lowered, raised and lifted while an app runs", async ({ skip }) => {
    needs(skip, "memory");
    await using groups = new Groups();
    const group = groups.create("shop", { memory: 128 * M });
    await said(startNode(group, eat(8)));
    for (const memory of [96 * M, 512 * M, null, 192 * M, null]) {
      group.limit({ memory, cpu: null, pids: null });
    }
    await said(startNode(group, eat(224)));
    expect(group.usage().memory?.now).toBeGreaterThan(224 * M);
    expect(group.oomKills()).toBe(0);
  });
});

describe("a limit of pids", () => {
  const bomb = `
    const { spawn } = require("node:child_process");
    let left = 200, refused = 0;
    const tell = () => { if (--left === 0) console.log(refused); };
    for (let i = 0; i < 200; i++) {
      try { spawn("sleep", ["1000"]).once("error", () => { refused++; tell(); }).once("spawn", tell); }
      catch { refused++; tell(); }
    }
    setInterval(() => {}, 60_000)`;

  it("is the ceiling of a fork bomb, and of nobody else", async ({ skip }) => {
    needs(skip, "pids");
    await using groups = new Groups();
    const group = groups.create("bomb", { pids: 32 });
    const neighbour = groups.create("neighbour", { pids: 32 });
    const refused = Number(await said(startNode(group, bomb)));
    expect(refused).toBeGreaterThanOrEqual(200 - 32);
    expect(group.usage().pids).toBeLessThanOrEqual(32);
    expect(group.usage().pidsRefused).toBeGreaterThanOrEqual(refused);
    expect(await said(startIn(neighbour, "sh", "-c", "sleep 0; echo fine"))).toBe("fine");
    expect(neighbour.usage().pidsRefused).toBe(0);
    await group.kill();
    expect(group.processes()).toEqual([]);
  });

  it("below what there is ends nobody, and lets nobody come", async ({ skip }) => {
    needs(skip, "pids");
    await using groups = new Groups();
    const group = groups.create("shop");
    const names = Array.from({ length: 12 }, (_, at) => String(at)).join(" ");
    await said(startIn(group, "sh", "-c", `for i in ${names}; do sleep 1000 & done; echo up; wait`));
    const before = group.processes().length;
    group.limit({ memory: null, cpu: null, pids: 8 });
    expect(group.processes()).toHaveLength(before);
    const late = startIn(group, "sh", "-c", "exec 2>/dev/null; sleep 0; exit 0");
    expect(await ended(late)).not.toEqual([0, null]);
    expect(group.usage().pidsRefused).toBeGreaterThan(0);
  });
});

describe("a limit of CPU", () => {
  const busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done";

  it("makes a busy loop stand still for a part of the time", async ({ skip }) => {
    needs(skip, "cpu");
    await using groups = new Groups();
    const [slow, free] = [groups.create("slow", { cpu: 25 }), groups.create("free")];
    const [one, other] = [startIn(slow, "sh", "-c", busy), startIn(free, "sh", "-c", busy)];
    expect(await Promise.all([said(one), said(other)])).toEqual(["done", "done"]);
    expect(slow.usage().cpuThrottled).toBeGreaterThan(0);
    expect(free.usage().cpuThrottled).toBe(0);
    expect(slow.usage().cpuMs).toBeGreaterThan(20);
  });

  it("can be changed and lifted while an app runs", async ({ skip }) => {
    needs(skip, "cpu");
    await using groups = new Groups();
    const group = groups.create("shop", { cpu: 100_000 });
    for (const cpu of [1, 200, null, 33, null]) group.limit({ memory: null, cpu, pids: null });
    await said(startIn(group, "sh", "-c", busy));
    expect(group.usage().cpuThrottled).toBe(0);
  });
});
