import { availableParallelism } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Count } from "../../src/app/app.ts";
import { fetchFrom, Load } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--stop-grace", "5", "--request-drain", "5");
  await maestro.deploy("shop", fixture("procfile"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const scale = async (counts: Record<string, Count>) =>
  (await maestro.client()).call("scale", { app: "shop", counts });
/** Pids of what serves, by instance. */
async function serving(): Promise<Record<string, number>> {
  const all = await (await maestro.client()).call("ps", { app: "shop" });
  return Object.fromEntries(
    all.flatMap(({ state, instance, pid }) => (state === "serving" ? [[instance, pid]] : [])),
  );
}
const namesOf = (instances: Record<string, number>) => Object.keys(instances).sort();

describe("scale", () => {
  it("starts what is missing without touching what runs", async () => {
    const before = await serving();
    const report = await scale({ web: 3, worker: 2 });
    expect(report.processes).toEqual([
      { process: "web", wanted: 3, serving: 3, setting: 3 },
      { process: "worker", wanted: 2, serving: 2, setting: 2 },
    ]);
    const after = await serving();
    expect(namesOf(after)).toEqual(["web.1", "web.2", "web.3", "worker.1", "worker.2"]);
    expect(after).toMatchObject(before);
    const answers = await Promise.all(
      Array.from({ length: 9 }, async () =>
        JSON.parse((await fetchFrom(maestro.httpPort, "shop.test")).body),
      ),
    );
    expect(new Set(answers.map(({ instance }) => instance)).size).toBe(3);
  });

  it("stops what is too many when it has finished, and no request fails", async () => {
    const before = await serving();
    const load = new Load(maestro.httpPort, "shop.test", { clients: { "keep-alive": 2, close: 1 } });
    try {
      for (const web of [1, 3, 1, 2]) {
        await load.more(20);
        await scale({ web });
      }
    } finally {
      await load.end();
    }
    expect(load.failures).toEqual([]);
    const after = await serving();
    expect(namesOf(after)).toEqual(["web.1", "web.2", "worker.1", "worker.2"]);
    expect(after["web.1"]).toBe(before["web.1"]);
  });

  it("tells a worker that is too many to stop, and lets its handler run", async () => {
    await scale({ worker: 1 });
    const ended = await maestro.until("instance.ended", (entry) => entry["instance"] === "worker.2");
    expect(ended).toMatchObject({ code: 0 });
  });

  it("is remembered over restarts, a controller that is killed, and instances that die", async () => {
    await (await maestro.client()).call("restart", { app: "shop" });
    expect(namesOf(await serving())).toEqual(["web.1", "web.2", "worker.1"]);
    const before = await serving();
    await maestro.end("SIGKILL");
    await maestro.serve();
    expect(await serving()).toEqual(before);
    const since = maestro.logLength;
    process.kill(before["web.2"] ?? 0, "SIGKILL");
    await maestro.until("instance.started", (entry) => entry["instance"] === "web.2", since);
    const { processes } = await (await maestro.client()).call("scale", { app: "shop" });
    expect(processes[0]).toMatchObject({ process: "web", wanted: 2, setting: 2 });
    while (!("web.2" in (await serving()))); // What comes next counts on it.
  });

  it("auto is one more than there are cores", async () => {
    const { processes } = await scale({ web: "auto" });
    const wanted = availableParallelism() + 1;
    expect(processes[0]).toEqual({ process: "web", wanted, serving: wanted, setting: "auto" });
  });

  it("to nothing takes the app from the net, and back again", async () => {
    await scale({ web: 0, worker: 0 });
    expect(await serving()).toEqual({});
    expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(503);
    const [app] = await (await maestro.client()).call("apps", {});
    expect(app).toMatchObject({ app: "shop", state: "stopped" });
    await scale({ web: 1 });
    expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
  });

  it("of an app that was stopped is remembered for its next start", async () => {
    await (await maestro.client()).call("stop", { app: "shop" });
    expect((await scale({ web: 2 })).processes[0]).toEqual({
      process: "web",
      wanted: 0,
      serving: 0,
      setting: 2,
    });
    await (await maestro.client()).call("restart", { app: "shop" });
    expect(namesOf(await serving())).toEqual(["web.1", "web.2"]);
  });

  it("is in the history, with who asked for it", async () => {
    const { deploys } = await (await maestro.client()).call("releases", { app: "shop", deploys: 100 });
    expect(deploys.find(({ what }) => what === "scale")).toMatchObject({
      outcome: "done",
      by: "an admin (loopback)",
      release: null,
    });
  });
});

describe("what cannot be scaled is refused with what can", () => {
  it.each([
    [{ clock: 1 }, 'shop has no process "clock"; what can be scaled is: web, worker'],
    [{ release: 2 }, "the release process runs once for each release; what can be scaled is: web, worker"],
    [{ constructor: 1 }, 'shop has no process "constructor"; what can be scaled is: web, worker'],
    [{ web: 1, typo: 1 }, 'shop has no process "typo"; what can be scaled is: web, worker'],
  ])("%j", async (counts, message) => {
    const before = await serving();
    await expect(scale(counts)).rejects.toMatchObject({ code: "BAD_INPUT", message });
    expect(await serving()).toEqual(before);
  });

  it("a number that is none", async () => {
    await expect(scale({ web: -1 })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(scale({ web: 1.5 })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(scale({ web: 100_000 })).rejects.toMatchObject({ code: "BAD_INPUT" });
  });

  it("an app that has no release yet, or is none", async () => {
    await maestro.send("empty", fixture("procfile"));
    const call = (await maestro.client()).call("scale", { app: "empty", counts: { web: 1 } });
    await expect(call).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(
      (await maestro.client()).call("scale", { app: "nobody", counts: { web: 1 } }),
    ).rejects.toMatchObject({ code: "APP_NOT_FOUND" });
  });
});

it("when one that is missing does not become ready, everything stays as it was", async () => {
  const quarrelsome = {
    Procfile: "web: node web.js\n",
    "web.js":
      'if (process.env.MAESTRO_INSTANCE !== "web.1") { console.error("there can be only one"); process.exit(4); }\n' +
      'require("http").createServer((q, s) => s.end()).listen(process.env.PORT);\n',
  };
  await maestro
    .deploy("shop", fixture("procfile"), { ...quarrelsome, Procfile: "web: node web.js\n" })
    .catch(() => {});
  await scale({ web: 1 });
  await maestro.change("shop", quarrelsome);
  const before = await serving();
  await expect(scale({ web: 2 })).rejects.toMatchObject({ code: "APP_EXITED" });
  expect(await serving()).toEqual(before);
  const { processes } = await (await maestro.client()).call("scale", { app: "shop" });
  expect(processes[0]).toMatchObject({ wanted: 1, setting: 1 });
});
