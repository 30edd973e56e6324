import { expect, it } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

it("what the workers have counted is told by app, all of them together and each", async () => {
  await using maestro = await TestMaestro.start("--workers", "2");
  await maestro.deploy("shop", fixture("traffic"));
  const visit = () => fetchFrom(maestro.httpPort, "shop.test");
  await Promise.all(Array.from({ length: 20 }, visit));
  const client = await maestro.client();
  const { workers, apps } = await client.call("traffic", { app: "shop" });
  expect(workers).toBe(2);
  expect(apps).toMatchObject([{ app: "shop", instances: 1, requests: 20, statuses: [0, 0, 20, 0, 0, 0] }]);
  expect(apps[0]?.latencyMs.p99).toBeGreaterThan(0);
  const status = await client.call("status", {});
  expect(status.traffic).toMatchObject([{ app: "shop", requests: 20 }]);
  const each = status.workers.map(({ traffic }) => traffic?.["shop"]?.requests ?? 0);
  expect(each.reduce((sum, count) => sum + count, 0)).toBe(20);
  const done = (await client.call("audit", {})).map(({ did }) => did);
  expect(done).toContain("restart");
  expect(done).not.toContain("traffic"); // `top` asks each second.
  await expect(client.call("traffic", { app: "nobody" })).rejects.toMatchObject({ code: "APP_NOT_FOUND" });
});
