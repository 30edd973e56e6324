import { spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { signalGroup, signalProcess } from "../../src/apprunner/kill.ts";
import { untilReady } from "../../src/apprunner/ready.ts";
import { stop } from "../../src/apprunner/stop.ts";
import { poll } from "../../src/lib/poll.ts";
import { listProcesses, readProcess } from "../../src/lib/processes.ts";
import { isRoot, isThere, lineIn, Place, question, someUser, textOf } from "../support/apprunner.ts";

/** In namespaces the kernel ends what an instance leaves behind; elsewhere it has to be found. */
const namespaces = isRoot ? "full" : "userns";
const levels = [["process"], [namespaces]] as const;
const minute = { graceMs: 60_000 };

describe.each(levels)("stopping an instance at the level %s", (level) => {
  it.each([
    ["started by Node", { kind: "node", file: "finishes.js" }],
    ["behind a shell", { kind: "line", line: "node finishes.js" }],
    [
      "behind two shells",
      { kind: "line", line: "export A=b && sh -c 'trap : TERM; node finishes.js' && true" },
    ],
  ] as const)(
    "lets the handler of an app %s run to its end, and keeps its exit code",
    async (_how, start) => {
      await using place = await Place.create(level);
      const spec = await place.spec({ start });
      const instance = await place.launch(spec);
      await lineIn(spec.output.stdout, /^up$/);
      expect(await stop(instance, minute)).toEqual({ code: 7, signal: null });
      expect(await textOf(spec.output.stdout)).toBe("up\nclosing\nclosed\n");
    },
  );

  it("kills an app that does not heed it", async () => {
    await using place = await Place.create(level);
    const spec = await place.spec({ start: { kind: "node", file: "stubborn.js" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^up$/);
    expect(await stop(instance, { graceMs: 50 })).toEqual({ code: null, signal: "SIGKILL" });
    expect(isThere(instance.pid)).toBe(false);
  });

  it("does not wait for the end of the grace when its signal aborts", async () => {
    await using place = await Place.create(level);
    const spec = await place.spec({ start: { kind: "node", file: "stubborn.js" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^up$/);
    const hurry = new AbortController();
    const stopped = stop(instance, { ...minute, signal: hurry.signal });
    await lineIn(spec.output.stdout, /^no$/);
    hurry.abort();
    expect(await stopped).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("leaves another instance of the same app alone", async () => {
    await using place = await Place.create(level);
    const [one, other] = [await place.spec(), await place.spec()];
    const [first, second] = [await place.launch(one), await place.launch(other)];
    await untilReady(question(other, second));
    await stop(first, minute);
    expect(isThere(second.pid)).toBe(true);
  });

  it("can be done twice, and of an app that has ended", async () => {
    await using place = await Place.create(level);
    const instance = await place.launch(await place.spec({ start: { kind: "line", line: "exit 3" } }));
    await instance.exited;
    expect(await stop(instance, minute)).toEqual({ code: 3, signal: null });
    expect(await stop(instance, minute)).toEqual({ code: 3, signal: null });
  });
});

describe("stopping an instance that shares the machine's processes", () => {
  it("gives the rest of a group its time when the main process does not wait for it", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "line", line: "node finishes.js & wait" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^up$/);
    await stop(instance, minute);
    expect(await textOf(spec.output.stdout)).toBe("up\nclosing\nclosed\n");
  });

  it.each([["lives"], ["has ended by itself"]])("ends the orphans of an app that %s", async (how) => {
    await using place = await Place.create();
    const env: Record<string, string> = how === "lives" ? {} : { LEAVE: "1" };
    const spec = await place.spec({ start: { kind: "node", file: "leaves-orphans.js" }, env });
    const instance = await place.launch(spec);
    const [logged, marked, child] = (await lineIn(spec.output.stdout, /^\d+ \d+ \d+$/))
      .split(" ")
      .map(Number);
    if (env["LEAVE"]) await instance.exited;
    await stop(instance, { graceMs: 0 });
    expect([logged, marked].filter((pid) => isThere(pid ?? 0))).toEqual([]);
    // Without log, environment and parent nothing leads to it any more, but a cgroup.
    if (!env["LEAVE"]) expect(isThere(child ?? 0)).toBe(false);
    else process.kill(child ?? Number.NaN, "SIGKILL");
  });

  it.runIf(isRoot)("ends everything of the app's user when asked to", async () => {
    await using place = await Place.create();
    const spec = await place.spec({
      user: someUser,
      start: { kind: "node", file: "leaves-orphans.js" },
      env: { LEAVE: "1" },
    });
    const instance = await place.launch(spec);
    const pids = (await lineIn(spec.output.stdout, /^\d+ \d+ \d+$/)).split(" ").map(Number);
    await instance.exited;
    await stop(instance, { graceMs: 0, uid: someUser?.uid ?? 0 });
    expect(pids.filter(isThere)).toEqual([]);
  });
});

describe("stopping an instance that has a pid namespace of its own", () => {
  /** Who on this machine is in the same pid namespace as a process. */
  function inNamespaceOf(pid: number): number[] {
    const namespace = readlinkSync(`/proc/${pid}/ns/pid`);
    const shares = (other: number) => {
      try {
        return readlinkSync(`/proc/${other}/ns/pid`) === namespace;
      } catch {
        return false; // gone meanwhile
      }
    };
    return listProcesses().flatMap((process) => (shares(process.pid) ? [process.pid] : []));
  }

  it("ends every orphan, however it hid: left its session, its log, its environment and its parent", async () => {
    await using place = await Place.create(namespaces);
    const spec = await place.spec({ start: { kind: "node", file: "leaves-orphans.js" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^\d+ \d+ \d+$/);
    const all = inNamespaceOf(instance.pid);
    expect(all.length).toBeGreaterThanOrEqual(5); // the first one, the app, and three that it left
    await stop(instance, { graceMs: 0 });
    expect(all.filter(isThere)).toEqual([]);
  });

  it("has nothing left to end when the app itself has ended", async () => {
    await using place = await Place.create(namespaces);
    const spec = await place.spec({ start: { kind: "node", file: "leaves-orphans.js" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^\d+ \d+ \d+$/);
    const all = inNamespaceOf(instance.pid);
    signalProcess(instance, "SIGKILL");
    expect(await instance.exited).toEqual({ code: null, signal: "SIGKILL" });
    await poll(() => (all.some(isThere) ? null : true), { first: 2, most: 20 });
  });
});

describe("a signal", () => {
  it("never reaches a stranger who has the pid of an instance by now", async () => {
    const stranger = spawn("sleep", ["1000"], { detached: true });
    await once(stranger, "spawn");
    const pid = stranger.pid ?? Number.NaN;
    const startTime = readProcess(pid)?.startTime ?? "";
    const reused = { pid, startTime: String(BigInt(startTime) - 1n) };
    signalProcess(reused, "SIGKILL");
    signalGroup(reused, "SIGKILL");
    await stop({ ...reused, key: "x", exited: Promise.resolve({ code: 0, signal: null }) }, { graceMs: 0 });
    expect(isThere(pid)).toBe(true);
    signalProcess({ pid, startTime }, "SIGKILL");
    expect(await once(stranger, "exit")).toEqual([null, "SIGKILL"]);
  });

  it("is never sent to init, to everyone, or to ourselves", () => {
    for (const pid of [process.pid, 1, 0, -1, Number.NaN, 1.5]) {
      const startTime = readProcess(pid)?.startTime ?? "0";
      signalProcess({ pid, startTime }, "SIGKILL");
      signalGroup({ pid, startTime }, "SIGKILL");
    }
    expect(isThere(1)).toBe(true);
  });
});
