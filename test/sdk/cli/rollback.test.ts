import { expect, it } from "vitest";
import { FakeServer, runCli } from "../support.ts";

const live = {
  app: "shop",
  hostnames: [],
  release: 6,
  instances: [],
  tookMs: 9,
  urls: ["http://shop/"],
  notes: [],
};

it.each([
  [["rollback", "shop"], { app: "shop" }],
  [["rollback", "shop", "v6"], { app: "shop", to: 6 }],
  [["rollback", "shop", "6", "--wait"], { app: "shop", to: 6, wait: true }],
])("%j asks for it", async (argv, input) => {
  const server = new FakeServer({ rollback: () => live });
  const { code, stdout } = await runCli(argv, server);
  expect({ code, calls: server.calls }).toEqual({ code: 0, calls: [{ name: "rollback", input }] });
  expect(stdout).toBe("shop v6 serves (0 ms)\n  http://shop/\n");
});

it.each(["v0", "latest", "v1.2", "-1"])("refuses %s as a release", async (release) => {
  const server = new FakeServer();
  const { code } = await runCli(["rollback", "shop", release], server);
  expect({ code, calls: server.calls }).toEqual({ code: 2, calls: [] });
});
