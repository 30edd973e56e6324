import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Pace } from "../../src/release/pace.ts";
import { openBelow, walk } from "../../src/release/walk.ts";
import { isRoot, type Tree, temporaryDirectory, writeTree } from "../support/release.ts";

const pathsOf = async (tree: Tree) =>
  (await walk(writeTree(temporaryDirectory(), tree), new Pace())).entries.map(({ path }) => path);
const refusalOf = (directory: string) => expect(walk(directory, new Pace())).rejects;

test("files, programs, directories and symlinks are found, parents before what is in them", async () => {
  const directory = writeTree(temporaryDirectory(), {
    "b.js": "12",
    "a/run": { program: "#!" },
    "a/link": { link: "../b.js" },
    empty: null,
  });
  const { entries } = await walk(directory, new Pace());
  expect(entries).toMatchObject([
    { kind: "directory", path: "a" },
    { kind: "link", path: "a/link", target: "../b.js" },
    { kind: "file", path: "a/run", executable: true, size: 2 },
    { kind: "file", path: "b.js", executable: false, size: 2, digest: null },
    { kind: "directory", path: "empty" },
  ]);
});

test("git's own files are left out, at the top and below", async () => {
  expect(
    await pathsOf({ ".git/config": "", "lib/.git": "gitdir: x", "lib/a": "", ".gitignore": "" }),
  ).toEqual([".gitignore", "lib", "lib/a"]);
});

test("an empty webapp directory at the top is nobody's code, one with files is", async () => {
  expect(await pathsOf({ webapp: null, "lib/webapp": null })).toEqual(["lib", "lib/webapp"]);
  expect(await pathsOf({ "webapp/a": "" })).toEqual(["webapp", "webapp/a"]);
});

test.each<[string, Tree, string]>([
  ["an absolute symlink", { "lib/l": { link: "/etc/passwd" } }, "lib/l"],
  ["a symlink that leads out", { "lib/l": { link: "../../secret" } }, "lib/l"],
  ["a symlink to the parent of all", { l: { link: ".." } }, "l"],
  [
    "a symlink that leads out through another one",
    { "a/b/up": { link: "../.." }, sly: { link: "a/b/up/../etc" } },
    "sly",
  ],
])("%s is refused, and named", async (_, tree, path) => {
  await refusalOf(writeTree(temporaryDirectory(), tree)).toMatchObject({
    code: "BAD_INPUT",
    details: { path },
  });
});

test("symlinks that stay inside are kept, also to nothing and round in circles", async () => {
  const tree: Tree = {
    "node_modules/.bin/x": { link: "../x/cli.js" },
    "node_modules/x/cli.js": "",
    "a/top": { link: ".." },
    nothing: { link: "gone/file" },
    one: { link: "two" },
    two: { link: "one" },
  };

  expect(await pathsOf(tree)).toEqual(
    expect.arrayContaining(["a/top", "node_modules/.bin/x", "nothing", "one", "two"]),
  );
});

test("symlinks that rsync munged for a deploy key are what they were, and refused when that leads out", async () => {
  const munged = (target: string) => ({ link: `/rsyncd-munged/${target}` });
  const directory = writeTree(temporaryDirectory(), { "bin/x": munged("../x.js"), "x.js": "" });
  expect((await walk(directory, new Pace())).entries).toContainEqual({
    kind: "link",
    path: "bin/x",
    target: "../x.js",
  });
  const path = "bin/x";
  const escaping = writeTree(temporaryDirectory(), { [path]: munged("../../x.js") });
  await refusalOf(escaping).toMatchObject({ details: { path } });
  const absolute = writeTree(temporaryDirectory(), { [path]: munged("/etc/passwd") });
  await refusalOf(absolute).toMatchObject({ details: { path } });
});

test("a FIFO is refused, and does not hang the walk", async () => {
  const directory = temporaryDirectory();
  execFileSync("mkfifo", [join(directory, "pipe")]);
  await refusalOf(directory).toThrow(/"pipe" is not a file/);
});

test("a socket is refused", async () => {
  const directory = temporaryDirectory();
  const server = createServer().listen(join(directory, "socket"));
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  await refusalOf(directory).toThrow(/"socket" is not a file/);
});

test("a device is refused", async ({ skip }) => {
  skip(!isRoot, "only root can make a device");
  const directory = temporaryDirectory();
  execFileSync("mknod", [join(directory, "null"), "c", "1", "3"]);
  await refusalOf(directory).toThrow(/"null" is not a file/);
});

test.each([
  ["setuid", 0o4755],
  ["setgid", 0o2755],
])("a %s file is refused", async (_, mode) => {
  const directory = writeTree(temporaryDirectory(), { "lib/su": "" });
  chmodSync(join(directory, "lib/su"), mode);
  await refusalOf(directory).toMatchObject({ code: "BAD_INPUT", details: { path: "lib/su" } });
});

test.each(["a\nb", "a\tb", "a\u007fb", "a\u001b[31m"])("the name %j is refused", async (name) => {
  await refusalOf(writeTree(temporaryDirectory(), { [name]: "" })).toThrow(JSON.stringify(name));
});

test("a name that is not UTF-8 is refused", async () => {
  const directory = temporaryDirectory();
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/a`), Buffer.from([0xe9])]), "");
  await refusalOf(directory).toThrow(/not UTF-8/);
});

test("a directory that was swapped for a symlink is not read through", () => {
  const root = writeTree(temporaryDirectory(), { "lib/passwd": "mine" });
  const fd = openBelow(root, "lib/passwd");
  expect(readFileSync(fd, "utf8")).toBe("mine");
  closeSync(fd);
  renameSync(join(root, "lib"), join(root, "old"));
  symlinkSync("/etc", join(root, "lib"));
  expect(() => openBelow(root, "lib/passwd")).toThrow(/changed while it was being read/);
  expect(() => openBelow(root, "lib")).toThrow(/changed while it was being read/);
});

test("a file that went away while the walk was on is told as a change", () => {
  const root = temporaryDirectory();
  mkdirSync(join(root, "lib"));
  expect(() => openBelow(root, "lib/gone")).toThrow(expect.objectContaining({ code: "BAD_INPUT" }));
});
