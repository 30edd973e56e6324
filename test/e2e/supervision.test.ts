import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readProcess } from "../../src/lib/processes.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start();
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const appReport = async (name: string) => {
  const found = (await (await maestro.client()).call("apps", {})).find(({ app }) => app === name);
  return found ?? expect.fail(`no app ${name}`);
};

describe("an instance that dies", () => {
  it("is started again, and requests meanwhile are held and answered", async () => {
    const { instances } = await maestro.deploy("phoenix", fixture("traffic"));
    const first = instances[0] ?? expect.fail("no instance");
    // All of it at once: what is under way when a process dies is lost with it, and not what is asked here.
    process.kill(-(readProcess(first.pid)?.group ?? Number.NaN), "SIGKILL");
    await maestro.until("instance.ended", (entry) => entry["app"] === "phoenix");
    const answer = await fetchFrom(maestro.httpPort, "phoenix.test");
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body).pid).not.toBe(first.pid);
  });

  it("again and again is reported as failing, with its last words; a restart with better code mends it", async () => {
    await maestro.deploy("moody", fixture("moody"));
    // Each request ends it, as one of the test apps of 2012 does.
    for (let death = 1; death <= 3; death += 1) {
      const since = maestro.logLength;
      await fetchFrom(maestro.httpPort, "moody.test").catch(() => {});
      await maestro.until("instance.died", (entry) => entry["app"] === "moody" && entry["deaths"] === death);
      if (death < 3) await maestro.until("instance.started", (entry) => entry["app"] === "moody", since);
    }
    const report = await appReport("moody");
    expect(report.state).toBe("failing");
    expect(report.problem).toContain("died 3 times");
    expect(report.lastWords?.join("\n")).toContain("I cannot go on");
    await maestro.deploy("moody", fixture("traffic"));
    expect((await appReport("moody")).state).toBe("serving");
    expect((await fetchFrom(maestro.httpPort, "moody.test")).status).toBe(200);
  });
});

describe("a restart of Maestro", () => {
  it("by SIGTERM leaves apps serving, and the next controller takes them over", async () => {
    const { instances } = await maestro.deploy("keep", fixture("traffic"));
    expect(await maestro.end("SIGTERM")).toBe(0);
    expect((await fetchFrom(maestro.httpPort, "keep.test")).status).toBe(200);
    await maestro.serve();
    const ps = await (await maestro.client()).call("ps", { app: "keep" });
    expect(ps.map(({ pid, state }) => ({ pid, state }))).toEqual([
      { pid: instances[0]?.pid, state: "serving" },
    ]);
  });

  it("knows how an instance ended while there was no controller, ends what it left behind, and starts it again", async () => {
    const { instances } = await maestro.deploy("lonely", fixture("traffic"));
    const orphan = Number((await fetchFrom(maestro.httpPort, "lonely.test", { path: "/orphan" })).body);
    await maestro.end("SIGKILL");
    // Not a GET: that one would be tried again, with the next instance.
    await fetchFrom(maestro.httpPort, "lonely.test", { method: "POST", path: "/die" });
    await vi.waitFor(() => expect(readProcess(instances[0]?.pid ?? 0)).toBeNull());
    const since = maestro.logLength;
    await maestro.serve();
    await maestro.until("instance.ended", (entry) => entry["app"] === "lonely" && entry["code"] === 7, since);
    expect((await fetchFrom(maestro.httpPort, "lonely.test")).status).toBe(200);
    expect((await appReport("lonely")).lastDeath).toMatchObject({
      instance: "web.1",
      release: 1,
      exitCode: 7,
    });
    expect(Date.parse((await appReport("lonely")).lastDeath?.at ?? "")).not.toBeNaN();
    expect(readProcess(orphan)).toBeNull();
  });

  it("takes over an instance with its output, and neither a stranger's pid nor a torn file confuses it", async () => {
    const { instances } = await maestro.deploy("torn", fixture("traffic"));
    const { key } =
      (await (await maestro.client()).call("ps", { app: "torn" }))[0] ?? expect.fail("nothing runs");
    await maestro.end("SIGKILL");
    const process = join(maestro.home, "run/instances", key, "process");
    const whole = await readFile(process, "utf8");
    // The pid is right and the start time is not: somebody else has it by now.
    await writeFile(process, whole.replace(/ .*/, " 1"));
    await writeFile(join(maestro.home, "state/deploys/torn/00000000.json"), '{"v":1,"id"');
    const since = maestro.logLength;
    await maestro.serve();
    expect((await fetchFrom(maestro.httpPort, "torn.test")).status).toBe(200);
    const ps = await (await maestro.client()).call("ps", { app: "torn" });
    expect(ps.map(({ pid }) => pid)).not.toContain(instances[0]?.pid);
    expect(maestro.logSince(since, "instance.adopted").filter(({ app }) => app === "torn")).toEqual([]);
    expect((await (await maestro.client()).call("releases", { app: "torn" })).deploys).toHaveLength(1);
    // The one that nobody can be sure of any more still is one of the app's: its output is its own.
    expect(readProcess(instances[0]?.pid ?? 0)).toBeNull();
  });

  it("by SIGTERM cuts nothing that drains", async () => {
    await maestro.deploy("patient", fixture("traffic"));
    const slow = fetchFrom(maestro.httpPort, "patient.test", { path: "/slow" });
    await maestro.change("patient", { "version.js": 'export const version = "two";' });
    await maestro.end("SIGTERM");
    expect(JSON.parse((await slow).body)).toMatchObject({ version: "one" });
    await maestro.serve();
    expect(JSON.parse((await fetchFrom(maestro.httpPort, "patient.test")).body)).toMatchObject({
      version: "two",
    });
  });

  it("by SIGTERM in the middle of a deploy leaves the old release serving", async () => {
    await maestro.deploy("halfway", fixture("traffic"));
    const since = maestro.logLength;
    const deploy = maestro
      .change("halfway", { "server.js": "setInterval(() => {}, 1000);" })
      .catch(() => "cut off");
    await maestro.until("instance.started", (entry) => entry["app"] === "halfway", since);
    await maestro.end("SIGTERM");
    expect(await deploy).toBe("cut off");
    expect((await fetchFrom(maestro.httpPort, "halfway.test")).status).toBe(200);
    await maestro.serve();
    const ps = await (await maestro.client()).call("ps", { app: "halfway" });
    expect(ps.filter(({ state }) => state === "serving").map(({ release }) => release)).toEqual([1]);
  });

  it("by SIGINT in the middle of a deploy leaves nothing running", async () => {
    await maestro.deploy("gone", fixture("traffic"));
    const since = maestro.logLength;
    const deploy = maestro
      .change("gone", { "server.js": "setInterval(() => {}, 1000);" })
      .catch(() => "cut off");
    const { pid } = await maestro.until("instance.started", (entry) => entry["app"] === "gone", since);
    await maestro.end("SIGINT");
    expect(await deploy).toBe("cut off");
    expect(readProcess(Number(pid))).toBeNull();
    await maestro.serve();
  });

  it("by SIGINT ends everything, and the next one starts what was wanted", async () => {
    const before = (await maestro.deploy("back", fixture("traffic"))).instances[0]?.pid;
    await maestro.end("SIGINT");
    expect(readProcess(before ?? 0)).toBeNull();
    await expect(fetchFrom(maestro.httpPort, "back.test")).rejects.toThrow("ECONNREFUSED");
    await maestro.serve();
    const answer = await fetchFrom(maestro.httpPort, "back.test");
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body).release).toBe("v1");
  });

  it("names a registry file that does not parse, keeps it, and goes on with the other apps", async () => {
    await maestro.deploy("sound", fixture("traffic"));
    await maestro.deploy("hurt", fixture("traffic"));
    await maestro.end("SIGINT");
    const path = join(maestro.home, "state/apps/hurt.json");
    const whole = await readFile(path, "utf8");
    await writeFile(path, whole.slice(0, 40));
    await maestro.serve();
    expect((await fetchFrom(maestro.httpPort, "sound.test")).status).toBe(200);
    expect(await appReport("hurt")).toMatchObject({
      state: "broken",
      problem: expect.stringContaining(path),
    });
    await expect((await maestro.client()).call("restart", { app: "hurt" })).rejects.toMatchObject({
      details: { path },
    });
    expect(await readFile(path, "utf8")).toBe(whole.slice(0, 40));
    await maestro.end("SIGINT");
    await writeFile(path, whole);
    await maestro.serve();
    expect((await fetchFrom(maestro.httpPort, "hurt.test")).status).toBe(200);
  });

  it("leaves an app whose registry file or release record was damaged as it runs, with its traffic", async () => {
    const pids: number[] = [];
    for (const app of ["torn-entry", "torn-release"]) {
      pids.push(...(await maestro.deploy(app, fixture("traffic"))).instances.map(({ pid }) => pid));
    }
    const entry = join(maestro.home, "state/apps/torn-entry.json");
    const record = join(maestro.home, "state/releases/torn-release/v1.json");
    const whole = new Map<string, string>();
    await maestro.end("SIGKILL");
    for (const path of [entry, record]) {
      whole.set(path, await readFile(path, "utf8"));
      await writeFile(path, (whole.get(path) ?? "").slice(0, 50));
    }
    await maestro.serve();
    for (const host of ["torn-entry.test", "torn-release.test"]) {
      expect((await fetchFrom(maestro.httpPort, host)).status, host).toBe(200);
    }
    expect(pids.map((pid) => readProcess(pid)?.pid)).toEqual(pids);
    expect((await appReport("torn-entry")).state).toBe("broken");
    await maestro.end("SIGKILL");
    for (const [path, text] of whole) await writeFile(path, text);
    await maestro.serve();
    expect((await appReport("torn-entry")).state).toBe("serving");
    expect(pids.map((pid) => readProcess(pid)?.pid)).toEqual(pids);
  });

  it("ends a worker that does not answer, rather than leaving it with routes that grow old", async () => {
    await maestro.deploy("fresh", fixture("traffic"));
    const [stuck] = (await (await maestro.client()).call("status", {})).workers;
    const pid = stuck?.pid ?? expect.fail("no worker");
    process.kill(pid, "SIGSTOP");
    await maestro.end("SIGKILL");
    await maestro.serve();
    await vi.waitFor(() => expect(readProcess(pid)).toBeNull());
    expect((await fetchFrom(maestro.httpPort, "fresh.test")).status).toBe(200);
  }, 60_000);

  it("ends at once when the RPC port is taken, and leaves no worker behind", async () => {
    const error = await TestMaestro.start("--rpc", maestro.rpc).then(
      () => expect.fail("it came up"),
      (failure: Error) => failure,
    );
    expect(error.message).toContain(`cannot listen for RPC on ${maestro.rpc}`);
  });

  it("is refused while another runs on the same home, with the pid of that one", async () => {
    const other = await TestMaestro.start("--home", maestro.home).then(
      () => expect.fail("a second controller came up"),
      (error: Error) => error,
    );
    expect(other.message).toContain(`as process ${maestro.pid}`);
  });
});
