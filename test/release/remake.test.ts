import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inodeOf, pathsIn, shopWith } from "../support/release.ts";

const app = { "app.js": "one", "lib/a.js": "a", "lib/l": { link: "a.js" }, empty: null };
const origin = { by: "alice", deploy: "mwp00000" };
const remake = { app: "demo", gid: null, above: 1, config: 4, origin };

test("a release of the same code with another config shares every file, and has a tree of its own", async () => {
  const shop = await shopWith(app);
  await shop.make(null);
  const { release, fresh, stored } = await shop.store.remake({ ...remake, of: 1 });
  await stored;
  expect({ fresh, number: release.number, config: release.config }).toEqual({
    fresh: true,
    number: 2,
    config: 4,
  });
  expect(pathsIn(shop.release(2))).toEqual(pathsIn(shop.release(1)));
  expect(inodeOf(shop.release(2, "lib/a.js"))).toBe(inodeOf(shop.release(1, "lib/a.js")));
  expect(inodeOf(shop.release(2, "lib"))).not.toBe(inodeOf(shop.release(1, "lib")));
  const [before, after] = [await shop.store.get("demo", 1), await shop.store.get("demo", 2)];
  expect(after).toMatchObject({ checksum: before.checksum, plan: before.plan, origin });
  await shop.store.sweep("demo", { current: 2, previous: null, served: [2] });
  expect(readFileSync(shop.release(2, "app.js"), "utf8")).toBe("one");
});

test("what was sent meanwhile is not in it, and the next release is made of that as ever", async () => {
  const shop = await shopWith(app);
  await shop.make(null);
  writeFileSync(join(shop.incoming, "app.js"), "two");
  await (await shop.store.remake({ ...remake, of: 1 })).stored;
  expect(readFileSync(shop.release(2, "app.js"), "utf8")).toBe("one");
  expect(await shop.make(2)).toEqual({ number: 3, fresh: true });
  expect(readFileSync(shop.release(3, "app.js"), "utf8")).toBe("two");
});

test("the tree that was made ahead is taken for it, where it is of that release", async () => {
  const shop = await shopWith(app);
  await shop.make(null);
  await shop.store.stage("demo");
  const ahead = inodeOf(shop.release(1, "..", ".staged-v1"));
  await (await shop.store.remake({ ...remake, of: 1 })).stored;
  expect(inodeOf(shop.release(2))).toBe(ahead);
  await shop.store.stage("demo");
  await (await shop.store.remake({ ...remake, of: 1, config: 5 })).stored;
  expect(pathsIn(shop.release(3))).toEqual(pathsIn(shop.release(1)));
});

test("the same code is the same release only with the same config", async () => {
  const shop = await shopWith(app);
  await shop.make(null);
  const request = { app: "demo", gid: null, latest: 1, above: 1, origin };
  expect(await shop.store.make({ ...request, config: null })).toMatchObject({ fresh: false });
  const made = await shop.store.make({ ...request, config: 1 });
  await made.stored;
  expect(made).toMatchObject({ fresh: true, release: { number: 2, config: 1, origin } });
  expect(await shop.store.make({ ...request, latest: 2, config: 1 })).toMatchObject({ fresh: false });
});

test("it cannot be made of a release that is not there, or whose files nobody knows", async () => {
  const shop = await shopWith(app);
  await shop.make(null);
  await expect(shop.store.remake({ ...remake, of: 7 })).rejects.toMatchObject({ code: "BAD_INPUT" });
  rmSync(join(shop.home, "state/releases/demo/v1.manifest.json"));
  await expect(shop.store.remake({ ...remake, of: 1 })).rejects.toMatchObject({
    code: "INTERNAL",
    message: expect.stringContaining("deploy demo again"),
  });
  expect(pathsIn(shop.release(1, "..")).filter((path) => !path.startsWith("v1/"))).toEqual([]);
});
