import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inodeOf, modeOf, pathsIn, type Shop, shopWith, type Tree, writeTree } from "../support/release.ts";

const before: Tree = {
  "app.js": "one",
  "lib/deep/a.js": "a",
  "lib/deep/b.js": "b",
  "lib/kept.js": "kept",
  "run.sh": { program: "#!/bin/sh" },
  link: { link: "lib/kept.js" },
  empty: null,
};

/** What comes after, by what is sent instead. */
const changes: [string, string[], Tree][] = [
  ["a file is changed", ["app.js"], { "app.js": "two!" }],
  ["a file is added in a new directory", [], { "new/dir/c.js": "c" }],
  ["a directory is gone with all that was in it", ["lib/deep"], {}],
  ["a directory has become a file", ["lib"], { lib: "a file now", link: { link: "app.js" } }],
  ["a file has become a directory", ["app.js"], { "app.js/index.js": "inside", "index.js": "x" }],
  ["a link leads elsewhere", ["link"], { link: { link: "app.js" } }],
  ["a link has become a file", ["link"], { link: "text" }],
  ["a program is none any more", ["run.sh"], { "run.sh": "#!/bin/sh" }],
  ["nothing is as it was", ["app.js", "lib", "run.sh", "link", "empty"], { "server.js": "all new" }],
];

function send({ incoming }: Shop, gone: string[], tree: Tree): void {
  for (const path of gone) rmSync(join(incoming, path), { recursive: true });
  for (const path of Object.keys(tree)) rmSync(join(incoming, path), { recursive: true, force: true });
  writeTree(incoming, tree);
}

/** Everything that can be told of a release's files. */
function portrait(directory: string): Record<string, string> {
  return Object.fromEntries(
    pathsIn(directory).map((path) => {
      const full = join(directory, path.replace(/\/$/, ""));
      const content = path.endsWith("/") ? "" : readFileSync(full, "utf8");
      return [path, `${modeOf(full)} ${content}`];
    }),
  );
}

const staged = ({ release }: Shop) =>
  readdirSync(join(release(1), "..")).filter((name) => name.startsWith(".staged"));

describe("a release made from the tree that was made ahead is the one that would be made anew, when", () => {
  test.each(changes)("%s", async (_, gone, tree) => {
    const ahead = await shopWith(before);
    const anew = await shopWith(before);
    for (const shop of [ahead, anew]) await shop.make(null);
    const first = portrait(ahead.release(1));
    await ahead.store.stage("demo");
    expect(staged(ahead)).toEqual([".staged-v1"]);
    for (const shop of [ahead, anew]) send(shop, gone, tree);
    expect(await ahead.make(1)).toEqual({ number: 2, fresh: true });
    await anew.make(1);
    expect(portrait(ahead.release(2))).toEqual(portrait(anew.release(2)));
    expect((await ahead.store.get("demo", 2)).checksum).toBe((await anew.store.get("demo", 2)).checksum);
    expect(portrait(ahead.release(1))).toEqual(first);
    expect(staged(ahead)).toEqual([]);
  });
});

test("shares what is the same with the release before, and nothing with what was sent", async () => {
  const shop = await shopWith(before);
  await shop.make(null);
  await shop.store.stage("demo");
  send(shop, [], { "app.js": "two!" });
  await shop.make(1);
  expect(inodeOf(shop.release(2, "lib/kept.js"))).toBe(inodeOf(shop.release(1, "lib/kept.js")));
  expect(inodeOf(shop.release(2, "app.js"))).not.toBe(inodeOf(shop.release(1, "app.js")));
  expect(inodeOf(shop.release(2, "app.js"))).not.toBe(inodeOf(join(shop.incoming, "app.js")));
});

test("a tree made ahead of a release that is not the newest any more is not used, and goes", async () => {
  const shop = await shopWith(before);
  await shop.make(null);
  await shop.store.stage("demo");
  mkdirSync(join(shop.release(1), "..", ".staged-v7"));
  await shop.store.stage("demo");
  expect(staged(shop)).toEqual([".staged-v1"]);
});

test("nothing is made ahead where there is no release, or its manifest is damaged", async () => {
  const shop = await shopWith(before);
  await shop.store.stage("demo");
  await shop.make(null);
  writeFileSync(join(shop.home, "state/releases/demo/v1.manifest.json"), "{");
  await shop.store.stage("demo");
  expect(staged(shop)).toEqual([]);
});

test("a tree that could not be finished leaves nothing behind", async () => {
  const shop = await shopWith(before);
  await shop.make(null);
  rmSync(shop.release(1, "lib/kept.js"));
  await expect(shop.store.stage("demo")).rejects.toThrow("ENOENT");
  expect(readdirSync(join(shop.release(1), ".."))).toEqual(["v1"]);
  expect(existsSync(shop.release(1))).toBe(true);
});
