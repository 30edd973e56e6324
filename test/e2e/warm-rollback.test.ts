import { existsSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom, Load } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";
import { standsStill } from "../support/standing.ts";

const version = (name: string) => ({ "version.js": `export const version = ${JSON.stringify(name)};\n` });

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start(
    ...["--stream-drain", "1", "--stop-grace", "5", "--keep-releases", "1", "--warm-instances", "3"],
  );
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

afterEach(async () => {
  const apps = await (await client()).call("apps", {});
  for (const { app } of apps) await (await client()).call("remove", { app });
});

const client = () => maestro.client();
const rollback = async (app: string) => (await client()).call("rollback", { app });
const served = async (app: string) => JSON.parse((await fetchFrom(maestro.httpPort, `${app}.test`)).body);
const instances = async (app: string) => (await client()).call("ps", { app });
const inState = async (app: string, state: string) =>
  (await instances(app)).filter((instance) => instance.state === state);

/** Two releases, of which the first has been replaced; answers its instances once they are frozen, and who answered. */
async function replaced(app: string, count = 1): Promise<{ pids: number[]; answered: number }> {
  const since = maestro.logLength;
  await maestro.deploy(app, fixture("traffic"), version("one"));
  if (count > 1) await (await client()).call("scale", { app, counts: { web: count } });
  const pids = (await inState(app, "serving")).map(({ pid }) => pid);
  const { pid: answered } = await served(app);
  await maestro.change(app, version("two"));
  await settled(app, 2, since);
  return { pids, answered };
}

const settled = (app: string, release: number, since: number) =>
  maestro.until("app.settled", (entry) => entry["app"] === app && entry["release"] === release, since);
const ended = (app: string, since: number) =>
  maestro.until("instance.ended", (entry) => entry["app"] === app && entry["release"] === 1, since);

describe("instances that were replaced and have nothing under way", () => {
  it("are frozen, and serve again after a rollback as the same processes; no request fails", async () => {
    const { pids, answered } = await replaced("shop");
    const [pid = 0] = pids;
    expect(await inState("shop", "frozen")).toMatchObject([{ pid, release: 1, instance: "web.1" }]);
    expect(standsStill(pid)).toBe(true);
    const { releases } = await (await client()).call("releases", { app: "shop" });
    expect(releases).toMatchObject([{ release: 2 }, { release: 1, warm: true }]);

    const load = new Load(maestro.httpPort, "shop.test", { clients: { "keep-alive": 2, close: 1, slow: 1 } });
    try {
      await load.more(10);
      expect(await rollback("shop")).toMatchObject({ release: 1, instances: [{ id: "web.1", pid }] });
      await load.more(20);
    } finally {
      await load.end();
    }
    expect(load.failures).toEqual([]);
    expect(await served("shop")).toMatchObject({ version: "one", pid: answered });
  });

  it("can be gone back to and forth, again and again", async () => {
    const begin = maestro.logLength;
    await replaced("shop");
    const load = new Load(maestro.httpPort, "shop.test", { clients: { "keep-alive": 2, close: 1 } });
    try {
      for (const to of [1, 2, 1, 2]) {
        const since = maestro.logLength;
        await (await client()).call("rollback", { app: "shop", to });
        expect(await served("shop")).toMatchObject({ release: `v${to}` });
        await settled("shop", to, since);
      }
    } finally {
      await load.end();
    }
    expect(load.failures).toEqual([]);
    const starts = maestro.logSince(begin, "instance.started");
    expect(starts).toHaveLength(2);
  });

  it("stay frozen for the next controller, which goes back to them as the first would have", async () => {
    const { pids, answered } = await replaced("shop");
    const [pid = 0] = pids;
    await maestro.end("SIGKILL");
    await maestro.serve();
    expect(await inState("shop", "frozen")).toMatchObject([{ pid }]);
    expect(standsStill(pid)).toBe(true);
    expect(await rollback("shop")).toMatchObject({ instances: [{ pid }] });
    expect(await served("shop")).toMatchObject({ version: "one", pid: answered });
  });

  it("keep their release, however few are kept", async () => {
    await replaced("shop");
    const since = maestro.logLength;
    await maestro.change("shop", version("three"));
    await settled("shop", 3, since);
    const names = (await readdir(join(maestro.home, "apps/shop/releases"))).filter(
      (name) => !name.startsWith("."),
    );
    expect(names.sort()).toEqual(["v1", "v2", "v3"]);
    expect(await (await client()).call("rollback", { app: "shop", to: 1 })).toMatchObject({ release: 1 });
  });

  it("give way, those that were frozen first before the others, when there are too many", async () => {
    await replaced("many", 3);
    const since = maestro.logLength;
    expect(await inState("many", "frozen")).toHaveLength(3);
    await replaced("shop");
    await ended("many", since);
    expect(await inState("many", "frozen")).toHaveLength(2);
    expect(await inState("shop", "frozen")).toHaveLength(1);
  });

  it("of which some are left are gone back to at once, and what is missing comes after the switch", async () => {
    const { pids } = await replaced("many", 3);
    process.kill(pids[0] ?? 0, "SIGKILL"); // It may die only when it is thawed.
    const since = maestro.logLength;
    const report = await rollback("many");
    expect(report.instances).toHaveLength(2);
    await maestro.until(
      "instance.started",
      (entry) => entry["app"] === "many" && entry["release"] === 1,
      since,
    );
    await expect
      .poll(async () => (await inState("many", "serving")).map(({ instance }) => instance).sort())
      .toEqual(["web.1", "web.2", "web.3"]);
  });
});

describe("what is frozen ends by SIGTERM, and its own handler runs", () => {
  it("when its app is stopped", async () => {
    await replaced("shop");
    const since = maestro.logLength;
    await (await client()).call("stop", { app: "shop" });
    expect(await ended("shop", since)).toMatchObject({ code: 0, signal: null });
  });

  it("when all of Maestro ends", async () => {
    const { pids } = await replaced("shop");
    const [pid = 0] = pids;
    const since = maestro.logLength;
    await maestro.end("SIGINT");
    const ending = maestro.logSince(since, "instance.ended").filter((entry) => entry["release"] === 1);
    expect(ending).toMatchObject([{ code: 0, signal: null }]);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    await maestro.serve();
  });
});

it("what is frozen ends when its time is over", async () => {
  await using brief = await TestMaestro.start("--warm", "1");
  await brief.deploy("shop", fixture("traffic"), version("one"));
  await brief.change("shop", version("two"));
  await brief.until("instance.frozen");
  expect(await brief.until("instance.ended", (entry) => entry["release"] === 1)).toMatchObject({ code: 0 });
  const report = await (await brief.client()).call("rollback", { app: "shop" });
  expect(report).toMatchObject({ release: 1 });
});

describe("what is not frozen is told to stop", () => {
  it("an instance that still has a stream, which its app ends itself", async () => {
    await maestro.deploy("stream", fixture("traffic"), version("one"));
    const text = readEvents("stream.test");
    await expect.poll(async () => (await instances("stream"))[0]?.inFlight.streams).toBe(1);
    const since = maestro.logLength;
    await maestro.change("stream", version("two"));
    expect(await text).toContain("event: bye");
    await ended("stream", since);
    expect(await inState("stream", "frozen")).toEqual([]);
  });

  it("a process that serves no traffic, and one whose app does not want it", async () => {
    const since = maestro.logLength;
    await maestro.deploy("jobs", fixture("procfile"));
    const [worker] = (await instances("jobs")).filter(({ instance }) => instance === "worker.1");
    await maestro.change("jobs", { "app.json": '{ "maestro": { "warm": false } }' });
    await maestro.until("app.settled", (entry) => entry["app"] === "jobs" && entry["release"] === 2, since);
    expect((await inState("jobs", "frozen")).map(({ instance }) => instance)).toEqual(["web.1"]);
    const workerEnd = await maestro.until(
      "instance.ended",
      (entry) => entry["instance"] === "worker.1",
      since,
    );
    expect(workerEnd).toMatchObject({ release: worker?.release, code: 0 });
    await maestro.change("jobs", { "more.txt": "more" });
    await maestro.until("app.settled", (entry) => entry["app"] === "jobs" && entry["release"] === 3, since);
    expect((await inState("jobs", "frozen")).map(({ release }) => release)).toEqual([1]);
  });

  it("an instance of the release that goes on", async () => {
    await replaced("shop");
    const since = maestro.logLength;
    await (await client()).call("restart", { app: "shop" });
    await maestro.until("instance.ended", (entry) => entry["release"] === 2, since);
    expect((await inState("shop", "frozen")).map(({ release }) => release)).toEqual([1]);
  });
});

describe("a frozen instance that is of no use", () => {
  /** Does not answer any more when a file appears that was not there when it started. */
  const moody = {
    "app.js":
      'const { existsSync } = require("fs");\n' +
      'const flag = process.env.STORAGE_DIR + "/flag", was = existsSync(flag);\n' +
      'require("http").createServer((q, s) => { s.statusCode = existsSync(flag) && !was ? 500 : 200; ' +
      "s.end(JSON.stringify({ release: process.env.MAESTRO_RELEASE })) }).listen(process.env.PORT);\n",
    "app.json": '{ "maestro": { "storage": true } }',
    "package.json": "{}",
  };

  it("because it does not answer any more is replaced by a fresh one, and ends", async () => {
    await maestro.send("sick", fixture("moody"), moody);
    await (await client()).call("restart", { app: "sick", hostname: "sick.test" });
    const [{ pid } = { pid: 0 }] = await inState("sick", "serving");
    const since = maestro.logLength;
    await maestro.change("sick", { "more.txt": "more" });
    await maestro.until("instance.frozen", (entry) => entry["app"] === "sick", since);
    writeFileSync(join(maestro.home, "apps/sick/storage/flag"), "");
    const report = await rollback("sick");
    expect(report).toMatchObject({ release: 1, instances: [{ id: "web.1" }] });
    expect(report.instances[0]?.pid).not.toBe(pid);
    expect(await served("sick")).toMatchObject({ release: "v1" });
    await ended("sick", since);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it("because it was killed is replaced by a fresh one", async () => {
    const { pids } = await replaced("dead");
    const [pid = 0] = pids;
    process.kill(pid, "SIGKILL"); // It may die only when it is thawed: a freezer of v1 holds it.
    expect(await rollback("dead")).toMatchObject({ release: 1 });
    expect(await served("dead")).toMatchObject({ version: "one" });
  });
});

/** An event stream, to its end. */
async function readEvents(host: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request({ port: maestro.httpPort, host: "127.0.0.1", path: "/events", headers: { host } }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("end", () => resolve(text)).on("error", reject);
  })
    .on("error", reject)
    .end();
  return promise;
}
