import { afterAll, beforeAll, expect, it } from "vitest";
import { fixture, TestMaestro } from "../support/maestro.ts";
import { send } from "../support/proxy.ts";

/** Tells its instance's name; one that is asked to breaks off the next five requests, or says from then on that it is ill. */
const program = `
let broken = 0;
let isIll = false;
require("node:http").createServer((request, response) => {
  if (broken > 0 && broken--) return request.socket.destroy();
  if (request.url === "/break") broken = 5;
  if (request.url === "/fall-ill") isIll = true;
  if (request.url === "/recover") isIll = false;
  if (request.url === "/health" && isIll) response.statusCode = 503;
  response.end(process.env.MAESTRO_INSTANCE);
}).listen(process.env.PORT);`;
const declared = { maestro: { proxy: { sticky: true } } };

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--workers", "1");
  const files = { Procfile: "web: node app.cjs", "app.cjs": program, "app.json": JSON.stringify(declared) };
  await maestro.deploy("shop", fixture("procfile"), files);
  await (await maestro.client()).call("scale", { app: "shop", counts: { web: 2 } });
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

async function visit(cookie = "", path = "/") {
  const headers = cookie === "" ? {} : { cookie };
  const { status, body, headers: answer } = await send(maestro.httpPort, "shop.test", { headers, path });
  return { status, body, cookie: answer["set-cookie"]?.[0]?.split(";")[0] ?? "" };
}
async function taken(): Promise<string[]> {
  const instances = await (await maestro.client()).call("ps", { app: "shop" });
  return instances.filter(({ outAt = 0 }) => outAt > 0).map(({ instance }) => instance);
}

it("a visitor comes back to his instance, goes elsewhere while it is out, and it is put back", async () => {
  const first = await visit();
  expect(first.cookie).toMatch(/^maestro-shop=/);
  for (let time = 0; time < 4; time += 1) {
    expect(await visit(first.cookie)).toEqual({ status: 200, body: first.body, cookie: "" });
  }
  await visit(first.cookie, "/break");
  for (let time = 0; time < 3; time += 1) expect((await visit(first.cookie)).status).toBe(502);
  const moved = await visit(first.cookie);
  expect(moved).toMatchObject({ status: 200, cookie: expect.stringMatching(/^maestro-shop=/) });
  expect(moved.body).not.toBe(first.body);
  expect(await taken()).toEqual([first.body]);
  // Its next two requests are checks, which it breaks off.
  while ((await taken()).length > 0);
  expect(await visit(first.cookie)).toEqual({ status: 200, body: first.body, cookie: "" });
});

it("an instance that says that it is not well gets no requests until it says that it is", async () => {
  const checked = {
    healthchecks: { web: [{ type: "startup", path: "/health" }] },
    maestro: { proxy: { sticky: true, checkInterval: "100ms" } },
  };
  const files = { Procfile: "web: node app.cjs", "app.cjs": program, "app.json": JSON.stringify(checked) };
  await maestro.deploy("shop", fixture("procfile"), files);
  const first = await visit();
  await visit(first.cookie, "/fall-ill");
  while ((await taken()).length === 0);
  expect(await taken()).toEqual([first.body]);
  const moved = await visit(first.cookie);
  expect(moved.body).not.toBe(first.body);
  const instances = await (await maestro.client()).call("ps", { app: "shop" });
  const ill = instances.find(({ instance, state }) => instance === first.body && state === "serving");
  await send(ill?.port ?? 0, "shop.test", { path: "/recover" });
  while ((await taken()).length > 0);
  expect((await visit(first.cookie)).body).toBe(first.body);
});
