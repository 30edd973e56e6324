import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom, Load } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

const version = (name: string) => ({ "version.js": `export const version = ${JSON.stringify(name)};\n` });

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--warm", "0", "--stop-grace", "5", "--keep-releases", "4");
  await maestro.deploy("shop", fixture("traffic"), version("one"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const rollback = async (app: string, to?: number) =>
  (await maestro.client()).call("rollback", { app, ...(to === undefined ? {} : { to }) });
const served = async (app = "shop") => JSON.parse((await fetchFrom(maestro.httpPort, `${app}.test`)).body);
const releases = async (app = "shop") => (await maestro.client()).call("releases", { app });

describe("rollback", () => {
  it("is refused where there is nothing before", async () => {
    await expect(rollback("shop")).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: "there is no release of shop before v1 to go back to; kept are: v1",
    });
    await expect(rollback("nobody")).rejects.toMatchObject({ code: "APP_NOT_FOUND" });
    await maestro.send("empty", fixture("traffic"));
    await expect(rollback("empty")).rejects.toMatchObject({ code: "BAD_INPUT" });
  });

  it("puts the release before live again, in fresh processes, and no request fails", async () => {
    await maestro.change("shop", version("two"));
    await maestro.change("shop", version("three"));
    const load = new Load(maestro.httpPort, "shop.test", { clients: { "keep-alive": 2, close: 1, slow: 1 } });
    try {
      await load.more(20);
      expect(await rollback("shop")).toMatchObject({ release: 2, instances: [{ id: "web.1" }] });
      await load.more(20);
    } finally {
      await load.end();
    }
    expect(load.failures).toEqual([]);
    expect(await served()).toMatchObject({ version: "two", release: "v2" });
  });

  it("is in the history as a deploy, with who asked for it", async () => {
    const { releases: kept, deploys } = await releases();
    expect(deploys[0]).toMatchObject({
      what: "rollback",
      release: 2,
      outcome: "done",
      by: "an admin (loopback)",
    });
    expect(kept.map(({ release, state }) => `v${release} ${state}`)).toEqual([
      "v3 previous",
      "v2 current",
      "v1 kept",
    ]);
  });

  it("once more goes further back, and not to what was gone back from", async () => {
    expect(await rollback("shop")).toMatchObject({ release: 1 });
    await expect(rollback("shop")).rejects.toMatchObject({
      message: "there is no release of shop before v1 to go back to; kept are: v1, v2, v3",
    });
  });

  it("of a later deploy goes to what served before it", async () => {
    await rollback("shop", 2);
    expect(await maestro.change("shop", version("four"))).toMatchObject({ release: 4 });
    expect(await rollback("shop")).toMatchObject({ release: 2 });
    expect(await served()).toMatchObject({ version: "two" });
  });

  it("to a release by its number also goes forward", async () => {
    expect(await rollback("shop", 4)).toMatchObject({ release: 4 });
    expect(await served()).toMatchObject({ version: "four" });
  });

  it("to one that serves, or is not kept, is refused with those that are", async () => {
    await expect(rollback("shop", 4)).rejects.toMatchObject({
      message: "v4 of shop is the release that serves already",
    });
    await expect(rollback("shop", 9)).rejects.toMatchObject({
      message: "v9 of shop is not kept; kept are: v1, v2, v3, v4",
      details: { releases: [1, 2, 3, 4] },
    });
    await expect((await maestro.client()).call("rollback", { app: "shop", to: 0 })).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
    expect(await served()).toMatchObject({ version: "four" });
  });

  it("outlives a controller that is killed afterwards", async () => {
    await rollback("shop");
    await maestro.end("SIGKILL");
    await maestro.serve();
    expect(await served()).toMatchObject({ version: "two" });
    const { releases: kept } = await releases();
    expect(kept.find(({ state }) => state === "current")?.release).toBe(2);
  });

  it("to a release that does not start any more leaves the one that serves", async () => {
    rmSync(join(maestro.home, "apps/shop/releases/v1/server.js"));
    await expect(rollback("shop", 1)).rejects.toMatchObject({ code: "APP_EXITED" });
    expect(await served()).toMatchObject({ version: "two" });
    const { deploys } = await releases();
    expect(deploys[0]).toMatchObject({ what: "rollback", outcome: "failed" });
  });

  it("starts an app that was stopped, and says how where it is its current release", async () => {
    await (await maestro.client()).call("stop", { app: "shop" });
    await expect(rollback("shop", 2)).rejects.toMatchObject({
      message: "v2 of shop is the current release, and stopped; `maestro restart shop` starts it",
    });
    await rollback("shop", 4);
    expect(await served()).toMatchObject({ version: "four" });
  });

  it("waits its turn, or is told that another deploy is under way", async () => {
    const client = await maestro.client();
    const begun = Promise.withResolvers<void>();
    const restarting = client.call("restart", { app: "shop" }, { onProgress: () => begun.resolve() });
    await begun.promise;
    const [restarted, refused, waited] = await Promise.allSettled([
      restarting,
      client.call("rollback", { app: "shop" }),
      client.call("rollback", { app: "shop", wait: true }),
    ]);
    expect([restarted.status, refused.status, waited.status]).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(refused).toMatchObject({ reason: { code: "BUSY" } });
  });
});

it("config goes back with its release, and the next deploy has it too", async () => {
  const client = await maestro.client();
  const environment = async () => JSON.parse((await fetchFrom(maestro.httpPort, "env.test")).body);
  await maestro.deploy("env", fixture("environment"));
  await client.call("config_set", { app: "env", set: { KEY: "good" } });
  await client.call("config_set", { app: "env", set: { KEY: "bad", OTHER: "x" } });
  expect(await environment()).toMatchObject({ KEY: "bad", MAESTRO_RELEASE: "v3" });
  expect(await rollback("env")).toMatchObject({ release: 2 });
  expect(await environment()).toMatchObject({ KEY: "good", MAESTRO_RELEASE: "v2" });
  expect(await client.call("config", { app: "env" })).toMatchObject({ config: 1, values: { KEY: "good" } });
  await maestro.change("env", { "more.txt": "x" });
  const next = await environment();
  expect(next).toMatchObject({ KEY: "good", MAESTRO_RELEASE: "v4" });
  expect(next).not.toHaveProperty("OTHER");
  // A number that a release has is not given to another config.
  expect(await client.call("config_set", { app: "env", set: { KEY: "new" } })).toMatchObject({ config: 3 });
});
