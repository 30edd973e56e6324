import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start();
  await maestro.deploy("shop", fixture("traffic"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const ask = () => fetchFrom(maestro.httpPort, "shop.test");
const mode = async () => (await (await maestro.client()).call("apps", {}))[0]?.mode;

describe("maintenance", () => {
  it("survives a deploy, the death of the controller and a reload, and is shown", async () => {
    const client = await maestro.client();
    await client.call("maintenance_on", { app: "shop", message: "Back at noon." });
    const expected = { status: 503, body: "Back at noon." };
    expect(await ask()).toMatchObject(expected);
    await maestro.change("shop", { "version.js": 'export const version = "two";\n' });
    expect(await ask()).toMatchObject(expected);
    await maestro.end("SIGKILL");
    await maestro.serve();
    expect(await ask()).toMatchObject(expected);
    expect(await mode()).toMatchObject({ kind: "maintenance", message: "Back at noon." });
    const [instance] = await (await maestro.client()).call("ps", { app: "shop" });
    expect(instance).toMatchObject({ state: "serving", mode: "maintenance" });
    await (await maestro.client()).call("reload", {});
    await maestro.until("maestro.ready", () => true, maestro.logLength - 1);
    expect(await ask()).toMatchObject(expected);
    await (await maestro.client()).call("maintenance_off", { app: "shop" });
    expect(JSON.parse((await ask()).body)).toMatchObject({ version: "two" });
    expect(await mode()).toBeUndefined();
  });

  it("is one thing, and a pause another", async () => {
    const client = await maestro.client();
    await client.call("maintenance_on", { app: "shop" });
    await expect(client.call("pause", { app: "shop" })).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(client.call("resume", { app: "shop" })).rejects.toThrow("maintenance off shop");
    await client.call("maintenance_off", { app: "shop" });
    await expect(client.call("pause", { app: "nobody" })).rejects.toMatchObject({ code: "APP_NOT_FOUND" });
    await expect(client.call("maintenance_on", { app: "shop", message: "\u001b[2J" })).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
  });
});

describe("pause", () => {
  it("holds what comes, also while the app is replaced and the controller dies; resume lets it go on", async () => {
    await (await maestro.client()).call("pause", { app: "shop", holdFor: 600 });
    const held = Array.from({ length: 5 }, ask);
    await maestro.change("shop", { "version.js": 'export const version = "three";\n' });
    await maestro.end("SIGKILL");
    await maestro.serve();
    expect(await mode()).toMatchObject({ kind: "paused", holdMs: 600_000 });
    await (await maestro.client()).call("resume", { app: "shop" });
    for (const { body } of await Promise.all(held))
      expect(JSON.parse(body)).toMatchObject({ version: "three" });
  });
});
