import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createReleaseStore } from "../../src/release/store.ts";
import { isRoot, modeOf, pathsIn, shopWith, temporaryDirectory, writeTree } from "../support/release.ts";

test("an app's directories are made, and where its code is sent is answered", async () => {
  const home = temporaryDirectory();
  const incoming = await createReleaseStore({ home, keep: 5, keepDays: 30 }).prepareIncoming("demo", null);
  expect(incoming).toBe(join(home, "apps/demo/incoming"));
  expect(pathsIn(join(home, "apps/demo"))).toEqual([
    "incoming/",
    "incoming/webapp/",
    "logs/",
    "releases/",
    "webapp",
  ]);
  expect(modeOf(join(home, "apps/demo"))).toBe("755");
});

test("an app with a group can walk to its releases, and others cannot", async ({ skip }) => {
  skip(!isRoot, "only root can give files to a group");
  const { home, store } = await shopWith({ "app.js": "" });
  await store.prepareIncoming("demo", 4242);
  for (const [path, mode] of [
    // Whoever receives the code is neither the app nor Maestro, and passes through to incoming/.
    ["apps/demo", "751"],
    ["apps/demo/releases", "750"],
    ["apps/demo/incoming", "750"],
  ] as const) {
    expect(modeOf(join(home, path))).toBe(mode);
    if (path.endsWith("incoming")) continue;
    expect(lstatSync(join(home, path))).toMatchObject({ uid: 0, gid: 4242 });
  }
});

test("doing it again changes nothing of what was sent", async () => {
  const shop = await shopWith({ "app.js": "mine", "webapp/a.js": "a" });
  await shop.store.prepareIncoming("demo", null);
  expect(readFileSync(join(shop.incoming, "app.js"), "utf8")).toBe("mine");
  expect(pathsIn(shop.incoming)).toEqual(["app.js", "webapp/", "webapp/a.js"]);
});

test("an app may have a file of its own called webapp", async () => {
  const shop = await shopWith({ "app.js": "" });
  rmSync(join(shop.incoming, "webapp"), { recursive: true });
  writeFileSync(join(shop.incoming, "webapp"), "a program");
  await shop.store.prepareIncoming("demo", null);
  await shop.make(null);
  expect(pathsIn(shop.release(1))).toEqual(["app.js", "webapp"]);
});

test("the deploy command of 2012 sends to incoming/webapp, and again with deletions", async () => {
  const shop = await shopWith({ "apprunner.js": "" });
  const working = writeTree(temporaryDirectory(), { "server.js": "1", "old.js": "" });
  const send = () =>
    execFileSync("rsync", ["-a", "--delete", "./", join(shop.home, "apps/demo/webapp")], { cwd: working });
  send();
  await shop.make(null);
  rmSync(join(working, "old.js"));
  send();
  await shop.make(1);
  expect(pathsIn(shop.release(1))).toEqual(["apprunner.js", "webapp/", "webapp/old.js", "webapp/server.js"]);
  expect(pathsIn(shop.release(2))).toEqual(["apprunner.js", "webapp/", "webapp/server.js"]);
  expect((await shop.store.get("demo", 2)).plan).toMatchObject({
    source: "apprunner.js",
    ready: { kind: "port" },
  });
  expect(readlinkSync(join(shop.home, "apps/demo/webapp"))).toBe("incoming/webapp");
});

test("a deploy of today may delete the empty webapp directory, which makes no new release", async () => {
  const shop = await shopWith({});
  const working = writeTree(temporaryDirectory(), { "app.js": "1" });
  const send = () => execFileSync("rsync", ["-a", "--delete", "./", `${shop.incoming}/`], { cwd: working });
  send();
  expect(pathsIn(shop.incoming)).toEqual(["app.js"]);
  expect(await shop.make(null)).toEqual({ number: 1, fresh: true });
  await shop.store.prepareIncoming("demo", null);
  expect(await shop.make(1)).toEqual({ number: 1, fresh: false });
  mkdirSync(join(shop.incoming, "webapp/inner"));
  expect(await shop.make(1)).toEqual({ number: 2, fresh: true });
});
