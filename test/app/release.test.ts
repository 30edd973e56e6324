import { expect, test } from "vitest";
import { Readiness, Release, Start } from "../../src/app/release.ts";

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
