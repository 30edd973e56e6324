import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

/** Tells who it is, and what it was asked for. */
const echo = `
require("node:http").createServer(({ url, headers }, response) => {
  const prefix = headers["x-forwarded-prefix"];
  response.end(JSON.stringify({ app: process.env.MAESTRO_APP, url, prefix }));
}).listen(process.env.PORT);`;

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start();
  for (const app of ["shop", "pay"]) {
    await maestro.send(app, fixture("procfile"), { Procfile: "web: node echo.cjs", "echo.cjs": echo });
    await (await maestro.client()).call("restart", { app });
  }
  await (await maestro.client()).call("domains_add", { app: "shop", hostname: "shop.test" });
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const ask = async (path: string) =>
  JSON.parse((await fetchFrom(maestro.httpPort, "shop.test", { path })).body) as object;

describe("a hostname that two apps share by path", () => {
  it("serves each below its own, and tells so", async () => {
    const client = await maestro.client();
    const hostname = "Shop.test/payments/";
    expect(await client.call("domains_add", { app: "pay", hostname })).toEqual({
      app: "pay",
      hostnames: ["shop.test/payments"],
      stripped: [],
    });
    expect(await ask("/payments/1?a")).toEqual({ app: "pay", url: "/payments/1?a" });
    expect(await ask("/other")).toEqual({ app: "shop", url: "/other" });
    const apps = await client.call("apps", {});
    expect(apps.find(({ app }) => app === "pay")?.urls).toEqual([
      `http://shop.test:${maestro.httpPort}/payments`,
    ]);
  });

  it("strips the prefix when it is added so, and keeps to that over a deploy and a controller's death", async () => {
    const client = await maestro.client();
    await client.call("domains_add", { app: "pay", hostname: "shop.test/payments", stripPrefix: true });
    const expected = { app: "pay", url: "/1", prefix: "/payments" };
    expect(await ask("/payments/1")).toEqual(expected);
    await client.call("restart", { app: "pay" });
    expect(await ask("/payments/1")).toEqual(expected);
    await maestro.end("SIGKILL");
    await maestro.serve();
    expect(await ask("/payments/1")).toEqual(expected);
    expect(await (await maestro.client()).call("domains", { app: "pay" })).toMatchObject({
      stripped: ["shop.test/payments"],
    });
  });

  it("refuses what is another's, and a prefix to strip where there is none", async () => {
    const client = await maestro.client();
    await expect(
      client.call("domains_add", { app: "shop", hostname: "shop.test/payments" }),
    ).rejects.toMatchObject({ code: "HOSTNAME_TAKEN", details: { owner: "pay" } });
    await expect(
      client.call("domains_add", { app: "pay", hostname: "pay.test", stripPrefix: true }),
    ).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(
      client.call("domains_add", { app: "pay", hostname: "shop.test/a/../b" }),
    ).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
  });

  it("does as app.json says", async () => {
    const mount = "shop.test/basket";
    const declared = { maestro: { hostnames: ["shop.test/cart", { mount, stripPrefix: true }] } };
    await maestro.change("pay", { "app.json": JSON.stringify(declared) });
    expect(await ask("/cart/1")).toEqual({ app: "pay", url: "/cart/1" });
    expect(await ask("/basket/1")).toEqual({ app: "pay", url: "/1", prefix: "/basket" });
    expect(await ask("/payments/1")).toMatchObject({ app: "pay" });
  });

  it("gives a path back to the hostname when it is removed", async () => {
    const client = await maestro.client();
    await client.call("domains_remove", { app: "pay", hostname: "shop.test/payments" });
    expect(await ask("/payments/1")).toEqual({ app: "shop", url: "/payments/1" });
    expect(await client.call("domains", { app: "pay" })).toMatchObject({ stripped: ["shop.test/basket"] });
  });
});
