import { expect, test } from "vitest";
import { App, AppName, AppUser, Hostname, hostnamesOf, normalizeHostname } from "../../src/app/app.ts";

test.each(["a", "shop", "shop-2", "a".repeat(63)])("%j is an app name", (name) => {
  expect(AppName.parse(name)).toBe(name);
});

test.each(["", "2shop", "-a", "Shop", "a_b", "a.b", "a/b", "..", "a\n", "a".repeat(64), "é"])(
  "%j is not an app name",
  (name) => {
    expect(AppName.safeParse(name).success).toBe(false);
  },
);

test.each([
  ["shop.example", "shop.example"],
  [" Shop.EXAMPLE. ", "shop.example"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["*.shop.example", "*.shop.example"],
  ["_acme.shop.example", "_acme.shop.example"],
  ["localhost", "localhost"],
  ["127.0.0.1", "127.0.0.1"],
])("the hostname %j is kept as %j", (text, name) => {
  expect(normalizeHostname(text)).toBe(name);
  expect(normalizeHostname(name)).toBe(name);
});

test.each([
  "",
  ".",
  "*",
  "*.",
  "a..b",
  "-a.b",
  "a-.b",
  "a b",
  "a/b",
  "a:80",
  "b.*.a",
  "x".repeat(64),
  "ab.".repeat(90),
])("%j is no hostname", (text) => {
  expect(normalizeHostname(text)).toBe(null);
  expect(Hostname.safeParse(text).error?.issues[0]?.message).toBe(`"${text}" is not a DNS hostname`);
});

test("an app's file that says little gets defaults", () => {
  expect(App.parse({ v: 1, name: "shop", hostnames: [], user: null, release: null })).toMatchObject({
    previousRelease: null,
    scale: {},
    stopped: false,
  });
});

test.each([
  { v: 2, name: "shop", hostnames: [], user: null, release: null },
  { v: 1, name: "shop", hostnames: [], user: null, release: 0 },
  { v: 1, name: "../x", hostnames: [], user: null, release: null },
  { v: 1, name: "shop", hostnames: [], user: null, release: null, scale: { web: -1 } },
])("%j is no app", (value) => {
  expect(App.safeParse(value).success).toBe(false);
});

test("root is nobody's user or group", () => {
  expect(AppUser.safeParse({ uid: 0, gid: 1 }).success).toBe(false);
  expect(AppUser.safeParse({ uid: 1, gid: 0 }).success).toBe(false);
});

test("an app without hostnames is at its name below the domain, and one that has them only there", () => {
  expect(hostnamesOf({ name: "shop", hostnames: [] }, "localhost")).toEqual(["shop.localhost"]);
  expect(hostnamesOf({ name: "shop", hostnames: ["a.b", "c.d"] }, "localhost")).toEqual(["a.b", "c.d"]);
});
