import { expect, test } from "vitest";
import { detect } from "../../src/release/detect.ts";
import { temporaryDirectory, writeTree } from "../support/release.ts";

const detectWith = (appJson: unknown, procfile = "web: a\nworker: b") =>
  detect(
    writeTree(temporaryDirectory(), {
      Procfile: procfile,
      "app.json": typeof appJson === "string" ? appJson : JSON.stringify(appJson),
    }),
  );

test("environment values are taken, and those that are missing are noted", async () => {
  const { env, notes } = await detectWith({
    env: {
      PLAIN: "one",
      LONG: { description: "two", value: "two" },
      NUMBER: 3,
      KEY: { generator: "secret" },
      NEEDED: { description: "must be set" },
      OPTIONAL: { required: false },
    },
  });
  expect(env).toEqual({ PLAIN: "one", LONG: "two", NUMBER: "3" });
  expect(notes).toEqual([
    expect.stringMatching(/generate KEY/),
    expect.stringMatching(/requires NEEDED, which has no value/),
  ]);
});

test("the formation is taken as numbers or quantities, and types that are not there are noted", async () => {
  const { formation, notes } = await detectWith({
    formation: { web: { quantity: 3, size: "standard-1x" }, worker: 0, clock: 1 },
  });
  expect(formation).toEqual({ web: 3, worker: 0, clock: 1 });
  expect(notes).toEqual([expect.stringMatching(/formation names clock/)]);
});

test("a start-up health check of the web decides readiness, and the others are noted", async () => {
  const { ready, notes } = await detectWith({
    healthchecks: {
      web: [
        { type: "liveness", path: "/live" },
        { type: "startup", name: "up", path: "/health", attempts: 3 },
      ],
      worker: [{ type: "startup", command: ["true"] }],
    },
  });
  expect(ready).toEqual({ kind: "health", path: "/health" });
  expect(notes).toEqual([expect.stringMatching(/not run: web liveness, worker startup/)]);
});

test("hostnames are normalized and each is taken once", async () => {
  const { hostnames } = await detectWith({
    maestro: { hostnames: ["Shop.Example.", "shop.example", "*.x.org"] },
  });
  expect(hostnames).toEqual(["shop.example", "*.x.org"]);
});

test("a path prefix is part of a hostname, and stripped where that is said", async () => {
  const mount = "x.org/docs/";
  const { hostnames, stripped } = await detectWith({
    maestro: { hostnames: ["X.org/Shop/", { mount, stripPrefix: true }, { mount: "y.org" }] },
  });
  expect(hostnames).toEqual(["x.org/Shop", "x.org/docs", "y.org"]);
  expect(stripped).toEqual(["x.org/docs"]);
});

test("limits and storage are read, cron is noted, and fields that are not known are ignored", async () => {
  const { notes, limits, storage } = await detectWith({
    name: "x",
    addons: ["redis"],
    cron: [{ command: "a", schedule: "@daily" }],
    maestro: { limits: { memory: "1G", cpu: "50%" }, storage: true, future: true },
  });
  expect(notes).toEqual(["app.json's cron is not run yet"]);
  expect(limits).toEqual({ memory: 1024 ** 3, cpu: 50 });
  expect(storage).toBe(true);
});

test.each([
  ["is not JSON", "{,}", /app\.json is not JSON/],
  ["has an impossible variable name", { env: { "A B": "x" } }, /A B/],
  ["has a wrong hostname", { maestro: { hostnames: ["no host"] } }, /not a DNS hostname/],
  [
    "has a limit that is none",
    { maestro: { limits: { memory: "lots" } } },
    /"lots" is not an amount of memory/,
  ],
  ["has a negative quantity", { formation: { web: -1 } }, /formation\.web/],
  ["has a health path without a slash", { healthchecks: { web: [{ path: "up" }] } }, /healthchecks/],
])("an app.json that %s is refused", async (_, appJson, message) => {
  await expect(detectWith(appJson)).rejects.toMatchObject({
    code: "BAD_INPUT",
    details: { file: "app.json" },
  });
  await expect(detectWith(appJson)).rejects.toThrow(message);
});
