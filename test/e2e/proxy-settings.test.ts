import { afterAll, beforeAll, expect, it } from "vitest";
import { fixture, TestMaestro } from "../support/maestro.ts";
import { send } from "../support/proxy.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start();
  await maestro.send("shop", fixture("traffic"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const ask = (proxy: object) => maestro.change("shop", { "app.json": JSON.stringify({ maestro: { proxy } }) });
const upload = (bytes: number) =>
  send(maestro.httpPort, "shop.localhost", { method: "POST", path: "/upload", body: "x".repeat(bytes) });

it("what app.json asks of the proxy is in force with its release, and gone with a rollback", async () => {
  await ask({});
  expect((await upload(2000)).status).toBe(200);
  await ask({ maxBody: "1K", answerTimeout: "300ms" });
  expect((await upload(2000)).status).toBe(413);
  expect((await upload(1024)).status).toBe(200);
  expect((await send(maestro.httpPort, "shop.localhost", { path: "/slow" })).status).toBe(504);
  await (await maestro.client()).call("rollback", { app: "shop" });
  expect((await upload(2000)).status).toBe(200);
});

it("what is wrong in it is refused with a sentence", async () => {
  await expect(ask({ maxBody: "much" })).rejects.toThrow(/"much" is not a size/);
  await expect(ask({ answerTimeout: "0s" })).rejects.toThrow(/not a time from 1ms to 24h/);
  await expect(ask({ maxBodies: 1 })).rejects.toThrow(/maxBodies/);
});
