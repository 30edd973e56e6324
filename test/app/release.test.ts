import { expect, test } from "vitest";
import { proxySettingsOf, Readiness, Release, Start } from "../../src/app/release.ts";

const release: Release = {
  v: 1,
  app: "shop",
  number: 1,
  checksum: "00",
  files: 1,
  bytes: 1,
  createdAt: "2026-11-20T00:00:00.000Z",
  plan: {
    source: "Procfile",
    processes: { web: { kind: "line", line: "node a.js" } },
    ready: { kind: "http", path: "/" },
    env: {},
    formation: {},
    hostnames: [],
    storage: false,
    limits: {},
    notes: [],
  },
};

test("a record is read as it was written", () => {
  expect(Release.parse(JSON.parse(JSON.stringify(release)))).toEqual(release);
});

test("fields that a later version wrote are ignored", () => {
  expect(Release.parse({ ...release, later: true })).toEqual(release);
});

test.each([{ v: 2 }, { number: 0 }, { number: 1.5 }, { app: "../x" }, { bytes: -1 }, { plan: null }])(
  "a record with %j is none",
  (wrong) => {
    expect(Release.safeParse({ ...release, ...wrong }).success).toBe(false);
  },
);

test("there is no start without a line or a file, and no readiness by a path that is none", () => {
  expect(Start.safeParse({ kind: "line", line: "" }).success).toBe(false);
  expect(Start.safeParse({ kind: "node", file: "" }).success).toBe(false);
  expect(Readiness.safeParse({ kind: "health", path: "up" }).success).toBe(false);
});

test("what declares a health check is asked every 10 s, unless it says how often; what declares none, if it says so", () => {
  const everyMs = (ready: Readiness, proxy?: Release["plan"]["proxy"]) =>
    proxySettingsOf({ ...release.plan, ready, ...(proxy ? { proxy } : {}) }).check?.everyMs;
  const health: Readiness = { kind: "health", path: "/up" };
  const http: Readiness = { kind: "http", path: "/" };
  expect([everyMs(health), everyMs(health, { checkMs: 500 }), everyMs(health, { checkMs: null })]).toEqual([
    10_000,
    500,
    undefined,
  ]);
  expect([everyMs(http), everyMs(http, { checkMs: 500 })]).toEqual([undefined, 500]);
  expect(proxySettingsOf({ ...release.plan, ready: { kind: "port" } }).check).toBeUndefined();
});
