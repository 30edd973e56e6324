import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pathsIn, type Shop, shopWith } from "../support/release.ts";

async function shopWithReleases(count: number, keep = 5): Promise<Shop> {
  const shop = await shopWith({ "app.js": "", "lib/same.js": "same" }, { keep });
  for (let number = 1; number <= count; number += 1) await edit(shop, number - 1);
  return shop;
}

/** Changes the code and makes a release of it. */
async function edit(shop: Shop, latest: number) {
  writeFileSync(join(shop.incoming, "app.js"), `after v${latest}, ${Math.random()}`);
  return shop.make(latest === 0 ? null : latest);
}

const numbersOf = async (shop: Shop) => (await shop.store.list("demo")).map(({ number }) => number);
const record = (shop: Shop, name: string) => join(shop.home, "state/releases/demo", name);

describe("numbers", () => {
  test("rise by one, also after older releases were removed", async () => {
    const shop = await shopWithReleases(3, 1);
    await shop.store.sweep("demo", { current: 3, previous: null, served: [1, 2, 3] });
    expect(await edit(shop, 3)).toEqual({ number: 4, fresh: true });
  });

  test("are not used again after a rollback, nor after the files or the record of the newest are gone", async () => {
    const shop = await shopWithReleases(3, 1);
    await shop.store.sweep("demo", { current: 1, previous: null, served: [2, 3, 1] });
    expect(await numbersOf(shop)).toEqual([1]);
    expect(await edit(shop, 1)).toEqual({ number: 4, fresh: true });
    rmSync(record(shop, "v4.json"));
    rmSync(record(shop, "v4.manifest.json"));
    expect(await edit(shop, 1)).toEqual({ number: 5, fresh: true });
  });

  test("go on above 9", async () => {
    const shop = await shopWithReleases(11, 20);
    expect(await numbersOf(shop)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
  });
});

describe("a sweep", () => {
  test("keeps the last that served, the current one and the one before it, and nothing of the others", async () => {
    const shop = await shopWithReleases(7, 2);
    await shop.store.sweep("demo", { current: 3, previous: 1, served: [1, 2, 4, 5, 6, 1, 3] });
    expect(await numbersOf(shop)).toEqual([1, 3]);
    expect(readdirSync(join(shop.home, "apps/demo/releases")).sort()).toEqual(["v1", "v3"]);
    expect(
      readdirSync(join(shop.home, "state/releases/demo")).filter((name) => /^v[245]\./.test(name)),
    ).toEqual([]);
  });

  test("does not count those that never served, nor those that are gone", async () => {
    const shop = await shopWithReleases(6, 3);
    rmSync(record(shop, "v4.json"));
    rmSync(record(shop, "v4.manifest.json"));
    rmSync(shop.release(4), { recursive: true });
    await shop.store.sweep("demo", { current: 5, previous: 4, served: [1, 2, 3, 4, 5] });
    expect(await numbersOf(shop)).toEqual([2, 3, 5]);
  });

  test("removes those that have become too old, but never the current one and the one before it", async () => {
    const shop = await shopWithReleases(4);
    const now = new Date(Date.now() + 31 * 24 * 60 * 60 * 1000);
    const request = { current: 4, previous: 2, served: [1, 2, 3, 4] };
    await shop.store.sweep("demo", request);
    expect(await numbersOf(shop)).toEqual([1, 2, 3, 4]);
    await shop.store.sweep("demo", { ...request, now });
    expect(await numbersOf(shop)).toEqual([2, 4]);
  });

  test("removes all of an app whose only deploys failed", async () => {
    const shop = await shopWithReleases(2);
    await shop.store.sweep("demo", { current: null, previous: null, served: [] });
    expect(await numbersOf(shop)).toEqual([]);
  });

  test("leaves the files whole that releases shared", async () => {
    const shop = await shopWithReleases(3, 1);
    await shop.store.sweep("demo", { current: 3, previous: null, served: [1, 2, 3] });
    expect(pathsIn(shop.release(3))).toEqual(["app.js", "lib/", "lib/same.js"]);
  });

  test("takes files without a record with it", async () => {
    const shop = await shopWithReleases(3);
    rmSync(record(shop, "v1.json"));
    await shop.store.sweep("demo", { current: 3, previous: 2, served: [2, 3] });
    expect(existsSync(shop.release(1))).toBe(false);
  });
});

describe("records that were edited by hand", () => {
  test.each([
    ["not JSON", "{"],
    ["empty", ""],
    ["another form", '{"v":2}'],
    ["null", "null"],
  ])("do not stop a list (%s)", async (_, text) => {
    const shop = await shopWithReleases(2);
    writeFileSync(record(shop, "v1.json"), text);
    expect(await shop.store.list("demo")).toMatchObject([
      { number: 1, problem: expect.stringContaining("does not describe v1 of demo") },
      { number: 2, app: "demo" },
    ]);
    await expect(shop.store.get("demo", 1)).rejects.toMatchObject({ code: "INTERNAL" });
  });

  test("and tell of another release are not believed", async () => {
    const shop = await shopWithReleases(2);
    writeFileSync(record(shop, "v1.json"), JSON.stringify(await shop.store.get("demo", 2)));
    await expect(shop.store.get("demo", 1)).rejects.toThrow(/does not describe v1/);
  });

  test("make the same content a new release, because the old one is not known to be it", async () => {
    const shop = await shopWithReleases(1);
    writeFileSync(record(shop, "v1.json"), "{");
    expect(await shop.make(1)).toEqual({ number: 2, fresh: true });
  });

  test("and so does a release whose files are gone", async () => {
    const shop = await shopWithReleases(1);
    rmSync(shop.release(1), { recursive: true });
    expect(await shop.make(1)).toEqual({ number: 2, fresh: true });
    expect(pathsIn(shop.release(2))).toEqual(["app.js", "lib/", "lib/same.js"]);
  });
});

test("a release that is not there is refused with those that are", async () => {
  const shop = await shopWithReleases(2);
  await expect(shop.store.get("demo", 9)).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(shop.store.get("demo", 9)).rejects.toThrow("demo has no release v9; it has v1, v2");
  await expect(shop.store.get("other", 1)).rejects.toThrow("other has no release v1; it has none");
});

test("an app without releases has an empty list", async () => {
  const shop = await shopWith({});
  expect(await shop.store.list("demo")).toEqual([]);
  expect(await shop.store.list("other")).toEqual([]);
});

test("releases that were never finished are removed at a start, and whole ones stay", async () => {
  const shop = await shopWithReleases(1);
  const partial = join(shop.home, "apps/demo/releases/.v2.partial-1234");
  mkdirSync(join(partial, "lib"), { recursive: true });
  const unrecorded = join(shop.home, "apps/demo/releases/v2");
  mkdirSync(unrecorded);
  writeFileSync(record(shop, "v2.json.1234.tmp"), "{");
  expect(await shop.store.sweepPartials()).toEqual([partial, unrecorded, record(shop, "v2.json.1234.tmp")]);
  expect(readdirSync(join(shop.home, "apps/demo/releases"))).toEqual(["v1"]);
  expect(await numbersOf(shop)).toEqual([1]);
  expect(await shop.store.sweepPartials()).toEqual([]);
});

test("an unfinished release takes no number and is not listed", async () => {
  const shop = await shopWithReleases(1);
  mkdirSync(join(shop.home, "apps/demo/releases/.v2.partial-1234"));
  expect(await numbersOf(shop)).toEqual([1]);
  expect(await edit(shop, 1)).toEqual({ number: 2, fresh: true });
});

test("a removed app leaves its logs, and nothing of its neighbours is touched", async () => {
  const shop = await shopWithReleases(2);
  await shop.store.prepareIncoming("demo-2", null);
  writeFileSync(join(shop.home, "apps/demo/logs/web.log"), "");
  await shop.store.removeApp("demo");
  expect(pathsIn(join(shop.home, "apps"))).toEqual([
    "demo-2/",
    "demo-2/incoming/",
    "demo-2/incoming/webapp/",
    "demo-2/logs/",
    "demo-2/releases/",
    "demo-2/webapp",
    "demo/",
    "demo/logs/",
    "demo/logs/web.log",
  ]);
  expect(existsSync(join(shop.home, "state/releases/demo"))).toBe(false);
  await shop.store.removeApp("demo");
});

test.each(["", "..", "a/b", "A"])("the name %j is not taken for an app's", async (name) => {
  const shop = await shopWith({});
  await expect(shop.store.removeApp(name)).rejects.toThrow(/app name/);
});
