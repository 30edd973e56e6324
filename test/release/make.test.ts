import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Release } from "../../src/app/release.ts";
import { createReleaseStore } from "../../src/release/store.ts";
import {
  inodeOf,
  isRoot,
  modeOf,
  mountTmpfs,
  pathsIn,
  shopWith,
  temporaryDirectory,
  writeTree,
} from "../support/release.ts";

const app = { "app.js": "one", "lib/a.js": "a", "lib/b.js": "b" };
const big = "0123456789abcdef".repeat(200_000);

test("a release has the files, programs, symlinks and empty directories that were sent", async () => {
  const shop = await shopWith({
    ...app,
    "bin/run": { program: "#!/bin/sh" },
    "bin/l": { link: "run" },
    empty: null,
    big,
  });
  expect(await shop.make(null)).toEqual({ number: 1, fresh: true });
  expect(pathsIn(shop.release(1))).toEqual(
    ["app.js", "big", "bin/", "bin/l", "bin/run", "empty/", "lib/", "lib/a.js", "lib/b.js"].sort(),
  );
  expect(readlinkSync(shop.release(1, "bin/l"))).toBe("run");
  expect(readFileSync(shop.release(1, "big"), "utf8")).toBe(big);
});

test("its record says what is in it and what to start", async () => {
  const shop = await shopWith(app);
  const { release, stored } = await shop.store.make({
    app: "demo",
    gid: null,
    latest: null,
    above: 0,
    now: new Date(0),
  });
  await stored;
  expect(release).toMatchObject({
    v: 1,
    app: "demo",
    number: 1,
    files: 3,
    bytes: 5,
    createdAt: "1970-01-01T00:00:00.000Z",
  });
  expect(release.plan.source).toBe("app.js");
  expect(release.checksum).toMatch(/^[0-9a-f]{64}$/);
  expect(
    Release.parse(JSON.parse(readFileSync(join(shop.home, "state/releases/demo/v1.json"), "utf8"))),
  ).toEqual(release);
  expect(await shop.store.get("demo", 1)).toEqual(release);
});

test("nothing that was sent, or only an empty webapp directory, is nothing to run", async () => {
  const shop = await shopWith({});
  await expect(shop.make(null)).rejects.toMatchObject({ code: "NOTHING_TO_RUN" });
  await expect(shop.make(null)).rejects.toThrow(shop.incoming);
  rmSync(shop.incoming, { recursive: true });
  await expect(shop.make(null)).rejects.toMatchObject({ code: "NOTHING_TO_RUN" });
});

describe("the same content is the same release", () => {
  test("when nothing was touched, and nothing is written", async () => {
    const shop = await shopWith(app);
    await shop.make(null);
    await shop.make(1);
    const before = pathsIn(shop.home).filter((path) => !path.endsWith("incoming.json"));
    expect(await shop.make(1)).toEqual({ number: 1, fresh: false });
    expect(pathsIn(shop.home).filter((path) => !path.endsWith("incoming.json"))).toEqual(before);
  });

  test("when all times and inodes changed", async () => {
    const shop = await shopWith(app);
    await shop.make(null);
    for (const path of Object.keys(app)) {
      const text = readFileSync(join(shop.incoming, path));
      rmSync(join(shop.incoming, path));
      writeFileSync(join(shop.incoming, path), text);
      utimesSync(join(shop.incoming, path), 1, 2);
    }
    expect(await shop.make(1)).toEqual({ number: 1, fresh: false });
  });

  test("whatever the store remembers of incoming, also nothing or nonsense", async () => {
    const shop = await shopWith(app);
    await shop.make(null);
    const index = join(shop.home, "state/releases/demo/incoming.json");
    for (const text of ["", "{", '{"v":2}', '{"v":1,"files":[["app.js"]]}']) {
      writeFileSync(index, text);
      expect(await shop.make(1)).toEqual({ number: 1, fresh: false });
    }
    rmSync(index);
    expect(await shop.make(1)).toEqual({ number: 1, fresh: false });
  });

  test("but not when it is compared with another release", async () => {
    const shop = await shopWith(app);
    await shop.make(null);
    writeFileSync(join(shop.incoming, "app.js"), "two");
    await shop.make(1);
    expect(await shop.make(1)).toEqual({ number: 3, fresh: true });
  });
});

describe("a new release follows", () => {
  const changes: [string, (incoming: string) => void][] = [
    ["a changed file", (incoming) => appendFileSync(join(incoming, "lib/a.js"), "x")],
    ["a removed file", (incoming) => rmSync(join(incoming, "lib/a.js"))],
    ["a renamed file", (incoming) => renameSync(join(incoming, "lib/a.js"), join(incoming, "lib/c.js"))],
    ["a new empty directory", (incoming) => mkdirSync(join(incoming, "tmp"))],
    ["a new symlink", (incoming) => writeTree(incoming, { l: { link: "app.js" } })],
    ["an executable bit", (incoming) => chmodSync(join(incoming, "app.js"), 0o755)],
  ];
  test.each(changes)("%s", async (_, change) => {
    const shop = await shopWith(app);
    await shop.make(null);
    change(shop.incoming);
    expect(await shop.make(1)).toEqual({ number: 2, fresh: true });
  });

  test("an edit of the same size within the same tick, with the old time put back", async () => {
    const shop = await shopWith(app);
    const file = join(shop.incoming, "app.js");
    utimesSync(file, 1, 2);
    let { number } = await shop.make(null);
    for (let round = 0; round < 20; round += 1) {
      writeFileSync(file, String(round % 10).repeat(3));
      utimesSync(file, 1, 2);
      number = (await shop.make(number)).number;
      expect(readFileSync(shop.release(number, "app.js"), "utf8")).toBe(String(round % 10).repeat(3));
    }
    expect(number).toBe(21);
  });
});

describe("a release does not change any more", () => {
  test("when incoming is written in place, by rsync or by hand, or gets other modes and owners", async () => {
    const shop = await shopWith({ ...app, big });
    await shop.make(null);
    writeFileSync(join(shop.incoming, "lib/a.js"), "x");
    await shop.make(1);
    const sent = writeTree(temporaryDirectory(), {
      "app.js": "six",
      "lib/a.js": "y",
      "lib/b.js": "z",
      big: `!${big.slice(1)}`,
    });
    execFileSync("rsync", ["-rI", "--inplace", "--no-whole-file", `${sent}/`, `${shop.incoming}/`]);
    chmodSync(join(shop.incoming, "lib/b.js"), 0o777);
    if (isRoot) chownSync(join(shop.incoming, "lib/b.js"), 1234, 1234);
    for (const number of [1, 2]) {
      expect(readFileSync(shop.release(number, "app.js"), "utf8")).toBe("one");
      expect(readFileSync(shop.release(number, "lib/a.js"), "utf8")).toBe(number === 1 ? "a" : "x");
      expect(readFileSync(shop.release(number, "big"), "utf8")).toBe(big);
      expect(lstatSync(shop.release(number, "lib/b.js"))).toMatchObject({ uid: process.getuid?.() });
      expect(modeOf(shop.release(number, "lib/b.js"))).toBe("644");
    }
  });

  test("because it shares no inode with incoming", async () => {
    const shop = await shopWith({ ...app, big });
    await shop.make(null);
    writeFileSync(join(shop.incoming, "app.js"), "two");
    await shop.make(1);
    const inodes = (directory: string) =>
      pathsIn(directory)
        .filter((path) => !path.endsWith("/"))
        .map((path) => inodeOf(join(directory, path)));
    const sent = new Set(inodes(shop.incoming));
    expect(
      [...inodes(shop.release(1)), ...inodes(shop.release(2))].filter((inode) => sent.has(inode)),
    ).toEqual([]);
  });
});

describe("unchanged files are hard links to the release before", () => {
  test("and changed ones, in content or mode, are their own", async () => {
    const shop = await shopWith(app);
    await shop.make(null);
    writeFileSync(join(shop.incoming, "app.js"), "two");
    chmodSync(join(shop.incoming, "lib/b.js"), 0o755);
    await shop.make(1);
    const isShared = (path: string) => inodeOf(shop.release(1, path)) === inodeOf(shop.release(2, path));
    expect({ app: isShared("app.js"), a: isShared("lib/a.js"), b: isShared("lib/b.js") }).toEqual({
      app: false,
      a: true,
      b: false,
    });
    expect([modeOf(shop.release(1, "lib/b.js")), modeOf(shop.release(2, "lib/b.js"))]).toEqual([
      "644",
      "755",
    ]);
  });

  test("or copies, when a file was taken out of that release, or its manifest was damaged", async () => {
    const shop = await shopWith(app);
    await shop.make(null);
    rmSync(shop.release(1, "lib/a.js"));
    writeFileSync(join(shop.incoming, "app.js"), "two");
    await shop.make(1);
    expect(readFileSync(shop.release(2, "lib/a.js"), "utf8")).toBe("a");
    writeFileSync(join(shop.home, "state/releases/demo/v2.manifest.json"), "{");
    writeFileSync(join(shop.incoming, "app.js"), "six");
    await shop.make(2);
    expect(inodeOf(shop.release(3, "lib/b.js"))).not.toBe(inodeOf(shop.release(2, "lib/b.js")));
  });

  test("but not across groups: for another group the same content is a release of its own", async ({
    skip,
  }) => {
    skip(!isRoot, "only root can give files to a group");
    const shop = await shopWith(app);
    await shop.make(null);
    expect(await shop.make(1, 4242)).toEqual({ number: 2, fresh: true });
    expect(lstatSync(shop.release(1, "lib/a.js")).gid).not.toBe(4242);
    expect(lstatSync(shop.release(2, "lib/a.js")).gid).toBe(4242);
  });
});

describe("owners and modes", () => {
  const tree = { ...app, "bin/run": { program: "#!" } };
  const paths = ["", "app.js", "lib", "bin/run"];

  test("everyone may read, and only Maestro write, when the app has no user of its own", async () => {
    const shop = await shopWith(tree);
    chmodSync(join(shop.incoming, "app.js"), 0o666);
    await shop.make(null);
    expect(paths.map((path) => modeOf(shop.release(1, path)))).toEqual(["755", "644", "755", "755"]);
  });

  test("only its group may read when it has one, whatever the umask", async ({ skip }) => {
    skip(!isRoot, "only root can give files to a group");
    const shop = await shopWith(tree, { gid: 4242 });
    execFileSync(process.execPath, ["-e", makeUnderUmask(shop.home)]);
    expect(paths.map((path) => modeOf(shop.release(1, path)))).toEqual(["750", "640", "750", "750"]);
    for (const path of paths) expect(lstatSync(shop.release(1, path))).toMatchObject({ uid: 0, gid: 4242 });
  });

  test("a program without read permission for its owner can still be big", async () => {
    const shop = await shopWith({ "app.js": "", big });
    chmodSync(join(shop.incoming, "big"), 0o444);
    await shop.make(null);
    expect(modeOf(shop.release(1, "big"))).toBe("644");
  });

  test("times of files are kept", async () => {
    const shop = await shopWith({ ...app, big });
    for (const path of ["app.js", "big"]) utimesSync(join(shop.incoming, path), 1000, 2000);
    await shop.make(null);
    for (const path of ["app.js", "big"]) expect(statSync(shop.release(1, path)).mtimeMs).toBe(2_000_000);
  });
});

/** A umask is a process's own: vitest's workers share theirs with other tests. */
const makeUnderUmask = (home: string) => `
  process.umask(0o077);
  import(${JSON.stringify(join(import.meta.dirname, "../../src/release/store.ts"))}).then(({ createReleaseStore }) =>
    createReleaseStore({ home: ${JSON.stringify(home)}, keep: 5, keepDays: 30 }).make({ app: "demo", gid: 4242, latest: null, above: 0 }));`;

describe("a release that cannot be made leaves nothing behind and the old one as it was", () => {
  const traces = (home: string) => [
    ...readdirSync(join(home, "apps/demo/releases")),
    ...pathsIn(join(home, "state")).filter((path) => !path.endsWith("incoming.json")),
  ];

  test.each<[string, Record<string, string>, string]>([
    ["its Procfile does not parse", { Procfile: "web" }, "BAD_INPUT"],
    ["it has nothing to start", { "README.md": "" }, "NOTHING_TO_RUN"],
  ])("when %s", async (_, tree, code) => {
    const shop = await shopWith({ "lib/a.js": "", ...tree });
    await expect(shop.make(null)).rejects.toMatchObject({ code });
    expect(readdirSync(join(shop.home, "apps/demo/releases"))).toEqual([]);
  });

  test("when the disk is full", async ({ skip }) => {
    const shop = await shopWith(app);
    const problem = mountTmpfs(join(shop.home, "apps/demo/releases"), "size=1m");
    skip(problem !== null, problem ?? "");
    await shop.make(null);
    const before = traces(shop.home);
    writeTree(shop.incoming, { "app.js": "two", big, small: "s".repeat(900_000) });
    await expect(shop.make(1)).rejects.toMatchObject({ code: "INTERNAL", details: { code: "ENOSPC" } });
    await expect(shop.make(1)).rejects.toThrow(/releases.*: the disk is full .*; v1 goes on as it was/);
    expect(traces(shop.home)).toEqual(before);
    expect(readFileSync(shop.release(1, "app.js"), "utf8")).toBe("one");
    rmSync(join(shop.incoming, "big"));
    rmSync(join(shop.incoming, "small"));
    expect(await shop.make(1)).toEqual({ number: 2, fresh: true });
  });

  test("when the disk that keeps the records is full", async ({ skip }) => {
    const shop = await shopWith(app);
    await shop.make(null);
    writeFileSync(join(shop.incoming, "app.js"), "two");
    mkdirSync(join(shop.home, "state/old"));
    renameSync(join(shop.home, "state/releases"), join(shop.home, "state/old/releases"));
    mkdirSync(join(shop.home, "state/releases"));
    const problem = mountTmpfs(join(shop.home, "state/releases"), "size=64k");
    skip(problem !== null, problem ?? "");
    execFileSync("cp", [
      "-a",
      join(shop.home, "state/old/releases/demo"),
      join(shop.home, "state/releases/"),
    ]);
    const filler = join(shop.home, "state/releases/filler");
    expect(() => writeFileSync(filler, Buffer.alloc(100_000))).toThrow(/ENOSPC/);
    const before = traces(shop.home);
    await expect(shop.make(1)).rejects.toMatchObject({ code: "INTERNAL", details: { code: "ENOSPC" } });
    expect(traces(shop.home)).toEqual(before);
    rmSync(filler);
    expect(await shop.make(1)).toEqual({ number: 2, fresh: true });
  });

  test("when the disk is read-only", async ({ skip }) => {
    const shop = await shopWith(app);
    const problem = mountTmpfs(join(shop.home, "apps/demo/releases"), "ro");
    skip(problem !== null, problem ?? "");
    await expect(shop.make(null)).rejects.toThrow(/read-only; check the disk; nothing was changed/);
  });

  test("when Maestro may not write there", async ({ skip }) => {
    skip(isRoot, "root may write everywhere");
    const shop = await shopWith(app);
    mkdirSync(join(shop.home, "state"), { mode: 0o500 });
    await expect(shop.make(null)).rejects.toThrow(/state.*: Maestro may not read or write it/);
    expect(readdirSync(join(shop.home, "apps/demo/releases"))).toEqual([]);
  });

  test("when Maestro may not read a file", async ({ skip }) => {
    skip(isRoot, "root may read everything");
    const shop = await shopWith(app);
    chmodSync(join(shop.incoming, "lib/a.js"), 0);
    await expect(shop.make(null)).rejects.toThrow(/lib\/a\.js: Maestro may not read or write it/);
  });
});

test("the releases of several apps are made at the same time without mixing them up", async () => {
  const home = temporaryDirectory();
  const store = createReleaseStore({ home, keep: 5, keepDays: 30 });
  const names = ["one", "two", "three"];
  for (const name of names) {
    const tree = Object.fromEntries(
      Array.from({ length: 300 }, (_, index) => [`f${index}`, `${name} ${index}`]),
    );
    writeTree(await store.prepareIncoming(name, null), {
      ...tree,
      "app.js": name,
      big: name.repeat(1_000_000),
    });
  }
  const made = await Promise.all(
    names.map((name) => store.make({ app: name, gid: null, latest: null, above: 0 })),
  );
  await Promise.all(made.map(({ stored }) => stored));
  for (const name of names) {
    expect(readFileSync(join(store.directory(name, 1), "f99"), "utf8")).toBe(`${name} 99`);
    expect(readFileSync(join(store.directory(name, 1), "big"), "utf8")).toBe(name.repeat(1_000_000));
    expect(await store.make({ app: name, gid: null, latest: 1, above: 1 })).toMatchObject({ fresh: false });
  }
});

test("other work has its turn while a release is made", async () => {
  const tree = Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [`d${index % 50}/f${index}`, String(index)]),
  );
  const shop = await shopWith({ ...tree, "app.js": "", big: big.repeat(10) });
  let turns = 0;
  let going = true;
  const others = (async () => {
    for (; going; turns += 1) await new Promise(setImmediate);
  })();
  await shop.make(null);
  going = false;
  await others;
  expect(turns).toBeGreaterThan(5);
});
