import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { Powers } from "../../../src/apprunner/cgroup/cgroups.ts";
import { type Hierarchy, ownHierarchies } from "../../../src/apprunner/cgroup/hierarchies.ts";
import { openCgroups } from "../../../src/apprunner/cgroup/open.ts";
import { readProcess } from "../../../src/lib/processes.ts";
import { ended, Groups, lacking, said, startIn } from "../../support/cgroups.ts";

const run = promisify(execFile);
type Skip = (condition: boolean, note?: string) => void;

/** What a machine would have if only some of the hierarchies of this one were mounted. */
const machines: [string, (hierarchy: Hierarchy) => boolean][] = [
  ["all that this machine has", () => true],
  ["v1 alone", ({ version }) => version === 1],
  ["v2 alone", ({ version }) => version === 2],
  ["v1 without a freezer", ({ version, controllers }) => version === 1 && !controllers.includes("freezer")],
];

/** A leader whose children have left its session and its parentage, and one that ignores every signal it can. */
const orphans = `
  (setsid sh -c 'sleep 1000 & sleep 1000 & wait' &)
  (setsid sh -c 'trap "" TERM HUP INT; sleep 1000; sleep 1000' &)
  sleep 1000 & sleep 0.1; echo up; wait`;

/** Those that were sent and not yet heard: ShdPnd in proc_pid_status(5), bit 0 for signal 1. */
const pendingSignals = (pid: number) =>
  BigInt(`0x${/^ShdPnd:\s+(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]}`);
const signalBit = (signal: number) => 1n << BigInt(signal - 1);

describe.each(machines)("a group, on %s,", (_, has) => {
  const hierarchies = ownHierarchies().filter(has);
  const needs = (skip: Skip, ...powers: (keyof Powers)[]) => {
    const why = lacking(hierarchies, ...powers);
    skip(why !== null, why ?? "");
  };

  it("holds who joined it, and whoever descends from them", async ({ skip }) => {
    needs(skip, "kill");
    await using groups = new Groups(hierarchies);
    const group = groups.create();
    expect(group.isEmpty()).toBe(true);
    const app = startIn(group, "sh", "-c", orphans);
    await said(app);
    expect(group.processes()).toContain(app.pid);
    expect(group.processes().length).toBeGreaterThanOrEqual(6);
    expect(group.processes()).not.toContain(process.pid);
  });

  it("is empty when it has been killed, and its neighbour is not", async ({ skip }) => {
    needs(skip, "kill");
    await using groups = new Groups(hierarchies);
    const [group, neighbour] = [groups.create("one"), groups.create("two")];
    const [app, other] = [startIn(group, "sh", "-c", orphans), startIn(neighbour, "sh", "-c", orphans)];
    await Promise.all([said(app), said(other)]);
    const pids = group.processes();
    const before = neighbour.processes();
    await group.kill();
    expect(group.isEmpty()).toBe(true);
    expect(pids.filter((pid) => readProcess(pid) !== null)).toEqual([]);
    expect(neighbour.processes()).toEqual(before);
    expect(await ended(app)).toEqual([null, "SIGKILL"]);
  });

  it("can be killed while it forks as fast as it can", async ({ skip }) => {
    needs(skip, "kill", "pids");
    await using groups = new Groups(hierarchies);
    const group = groups.create("bomb", { pids: 64 });
    await said(startIn(group, "sh", "-c", "echo up; while :; do (sleep 0.01; :) & done 2>/dev/null"));
    await group.kill();
    expect(group.isEmpty()).toBe(true);
  });

  it("stands still while it is frozen, and goes on", async ({ skip }) => {
    needs(skip, "freeze");
    await using groups = new Groups(hierarchies);
    const group = groups.create();
    const app = startIn(
      group,
      "sh",
      "-c",
      "trap 'echo heard' USR1; echo up; while :; do sleep 1000 & wait; done",
    );
    await said(app);
    await group.freeze();
    await group.freeze();
    process.kill(app.pid, "SIGUSR1");
    expect(pendingSignals(app.pid)).toBe(signalBit(constants.signals.SIGUSR1));
    await group.thaw();
    expect(await said(app)).toBe("heard");
    await group.thaw();
    expect(pendingSignals(app.pid)).toBe(0n);
  });

  it("can be killed while it is frozen", async ({ skip }) => {
    needs(skip, "freeze");
    await using groups = new Groups(hierarchies);
    const group = groups.create();
    const app = startIn(group, "sh", "-c", orphans);
    await said(app);
    await group.freeze();
    await group.kill();
    expect(group.isEmpty()).toBe(true);
    expect(await ended(app)).toEqual([null, "SIGKILL"]);
    await group.remove();
  });

  it("is removed only when nothing is in it, and then as often as one likes", async ({ skip }) => {
    needs(skip, "kill");
    await using groups = new Groups(hierarchies);
    const group = groups.create("shop");
    const app = startIn(group, "sh", "-c", "echo up; exec sleep 1000");
    await said(app);
    await expect(group.remove()).rejects.toThrow(
      new RegExp(`shop could not be removed: ${app.pid} is still`),
    );
    expect(groups.all.list()).toEqual(["shop"]);
    await group.kill();
    await group.remove();
    await group.remove();
    await group.kill();
    expect(groups.all.list()).toEqual([]);
    expect(groups.all.find("shop")).toBeNull();
  });

  it("whose process made groups below it is killed and removed with them", async ({ skip }) => {
    needs(skip, "kill");
    await using groups = new Groups(hierarchies);
    const group = groups.create();
    const inner = group.joinFiles.map((file) => file.replace(/[^/]+$/, "inner"));
    for (const directory of inner) mkdirSync(directory);
    const app = startIn(group, "sh", "-c", "echo up; exec sleep 1000");
    await said(app);
    for (const directory of inner) writeFileSync(join(directory, "cgroup.procs"), String(app.pid));
    expect(group.processes()).toEqual([app.pid]);
    await group.kill();
    expect(group.isEmpty()).toBe(true);
    await group.remove();
  });
});

describe("the groups of a home", () => {
  const needs = (skip: Skip) => {
    const why = lacking(ownHierarchies(), "kill");
    skip(why !== null, why ?? "");
  };

  it("are found by a later controller, which can end them", async ({ skip }) => {
    needs(skip);
    await using groups = new Groups();
    const app = startIn(groups.create("shop.web.1"), "sh", "-c", orphans);
    await said(app);
    const pids = groups.all.find("shop.web.1")?.processes();
    const finder = join(import.meta.dirname, "finder.fixture.ts");
    const { stdout } = await run(process.execPath, [finder, groups.id, "shop.web.1"]);
    expect(JSON.parse(stdout)).toEqual({ found: true, processes: pids });
    expect(await ended(app)).toEqual([null, "SIGKILL"]);
    expect(groups.all.list()).toEqual([]);
  });

  it("are found also by a controller that runs in another group than the one that made them", async ({
    skip,
  }) => {
    needs(skip);
    const here = ownHierarchies();
    const elsewhere = here.map((one) => ({ ...one, own: join(one.own, "maestro-test-elsewhere") }));
    for (const { own } of elsewhere) mkdirSync(own, { recursive: true });
    try {
      await using before = new Groups(elsewhere);
      const app = startIn(before.create("shop"), "sh", "-c", "echo up; exec sleep 1000");
      await said(app);
      const later = openCgroups(before.id).cgroups;
      expect(later?.list()).toEqual(["shop"]);
      expect(later?.find("shop")?.processes()).toEqual([app.pid]);
      await later?.find("shop")?.kill();
      await later?.find("shop")?.remove();
      later?.remove();
      expect(before.directories()).toEqual([]);
    } finally {
      for (const { own } of elsewhere) rmdirSync(own);
    }
  });

  it("are nothing to another home", async ({ skip }) => {
    needs(skip);
    await using one = new Groups();
    await using other = new Groups();
    one.create("shop");
    expect(other.all.find("shop")).toBeNull();
    expect(other.all.list()).toEqual([]);
  });

  it("are below the group in which Maestro itself is", async ({ skip }) => {
    needs(skip);
    await using groups = new Groups();
    const owns = readFileSync("/proc/self/cgroup", "utf8");
    const app = startIn(groups.create("shop"), "sh", "-c", "cat /proc/self/cgroup; exec sleep 1000");
    const seen = (await said(app)).split("\n");
    const parents = seen.map((line) => line.replace(`/maestro-${groups.id}/shop`, "").replace(/:$/, ":/"));
    expect(parents).toEqual(owns.trim().split("\n"));
    expect(seen.filter((line) => line.includes(groups.id))).not.toEqual([]);
  });

  it("do not have a key that leads elsewhere", async ({ skip }) => {
    needs(skip);
    await using groups = new Groups();
    for (const key of ["", "..", "a/b", ".hidden", "a\nb", "x".repeat(201)]) {
      expect(() => groups.create(key)).toThrow(/cannot be the name of a group/);
      expect(() => groups.all.find(key)).toThrow(/cannot be the name of a group/);
    }
  });
});
