import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { copyTree, rsyncArguments } from "../../sdk/copy.ts";
import { filterRules, translateIgnore } from "../../sdk/ignore.ts";
import { directoryWith } from "./support.ts";

const run = promisify(execFile);

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(directory, join(entry.parentPath, entry.name))).sort();
}

async function sent(files: Record<string, string>, include: string[] = []): Promise<string[]> {
  const source = await directoryWith(files);
  const target = await directoryWith();
  await copyTree(source, target, { rules: await filterRules(source, include) });
  return filesIn(target);
}

/** What git would add, by itself: the other opinion on the same files. */
async function gitWouldAdd(files: Record<string, string>): Promise<string[]> {
  const directory = await directoryWith(files);
  await run("git", ["init", "--quiet"], { cwd: directory });
  const { stdout } = await run("git", ["ls-files", "-z", "--others", "--exclude-standard"], {
    cwd: directory,
  });
  return stdout
    .split("\0")
    .filter((path) => path !== "")
    .sort();
}

const tree = Object.fromEntries(
  [
    "a.log",
    "keep.log",
    "src/a.log",
    "src/deep/b.txt",
    "src/build",
    "build/out.js",
    "packages/x/build/out.js",
    "docs/one/draft.md",
    "docs/two/three/draft.md",
    "docs/draft.md",
    "tmp/a",
    "src/tmp/b",
    "cache/x/y",
    "cache/keep",
    "[odd]/file.txt",
    "[odd]/other.md",
    "with space/a b.txt",
    "#hash",
    "!bang",
    "star*",
    "starry",
    "back\\slash",
    "x.tmp.txt",
    "public/index.html",
    "public/asset.js",
    "secret/deep/key.pem",
    "logs/.keep",
    "logs/today",
    "abc/def/ghi",
    "ü/é.txt",
  ].map((path) => [path, path]),
);

const ignoreFiles: Record<string, string> = {
  "plain names, at any depth": "*.log\nbuild\n",
  "directories only": "build/\ntmp/\n",
  "anchored at the top": "/tmp\n/build/\n/a.log\n",
  "anchored by a slash in the middle": "src/tmp\ndocs/one\n",
  "taken back by a later line": "*.log\n!keep.log\n/public/*\n!/public/index.html\n",
  "taken back, and ignored again": "*.log\n!*.log\na.log\n",
  "two stars between slashes": "docs/**/draft.md\n**/tmp\ncache/**\n!cache/keep\n",
  "two stars beside other characters": "abc**\nsrc/d**p\n**.txt\n",
  "escaped characters": "\\#hash\n\\!bang\nstar\\*\nback\\\\slash\n",
  "brackets, question marks, spaces": "[[]odd]\nwith space/\nx.???.txt\n",
  "comments, blank lines, CRLF, trailing spaces": "# comment\r\n\r\n*.log   \r\n!keep.log\r\n",
  "all but some": "/*\n!/src\n!/docs/\n/docs/*\n!/docs/two\n",
  "a directory whose ignored parent cannot be taken back from":
    "secret\n!secret/deep/key.pem\nlogs/*\n!logs/.keep\n",
  "names beyond ASCII": "ü/*.txt\n",
};

describe("what .gitignore says", () => {
  for (const [name, content] of Object.entries(ignoreFiles)) {
    it(`is what git says: ${name}`, async () => {
      const files = { ...tree, ".gitignore": content };
      expect(await sent(files)).toEqual(await gitWouldAdd(files));
    });
  }

  it("is what git says: deeper files above higher ones, in directories with odd names", async () => {
    const files = {
      ...tree,
      ".gitignore": "*.txt\n!b.txt\n*.md\n",
      "[odd]/.gitignore": "!file.txt\n/other.md\n",
      "src/.gitignore": "/deep/b.txt\n",
      "docs/.gitignore": "!draft.md\n/two/**/draft.md\n",
    };
    expect(await sent(files)).toEqual(await gitWouldAdd(files));
  });

  it("leaves out node_modules where the server installs them, unless they are asked for", async () => {
    const files = {
      "package.json": JSON.stringify({ dependencies: { x: "1.0.0" } }),
      "app.js": "",
      "node_modules/x/index.js": "",
      "packages/y/node_modules/z/index.js": "",
      ".env": "SECRET=1",
      "data/.env": "SECRET=2",
    };
    expect(await sent(files)).toEqual(["app.js", "package.json"]);
    expect(await sent(files, ["node_modules"])).toEqual([
      "app.js",
      "node_modules/x/index.js",
      "package.json",
      "packages/y/node_modules/z/index.js",
    ]);
    expect(await sent(files, ["data/.env"])).toEqual(["app.js", "data/.env", "package.json"]);
    const asked = { ...files, ".maestroignore": "!node_modules\n" };
    expect(await sent(asked)).toContain("node_modules/x/index.js");
  });

  it("does not reach into node_modules where nothing says what to install: they are sent as they are", async () => {
    const files = {
      ".gitignore": "node_modules\ndist\n*.log\n",
      "app.js": "",
      "dist/app.js": "",
      "node_modules/x/dist/index.js": "",
      "node_modules/x/.gitignore": "index.js\n",
      "packages/y/node_modules/z/a.log": "",
    };
    expect(await sent(files)).toEqual([
      ".gitignore",
      "app.js",
      "node_modules/x/.gitignore",
      "node_modules/x/dist/index.js",
      "packages/y/node_modules/z/a.log",
    ]);
  });
});

describe("what .maestroignore says", () => {
  it("goes above .gitignore: what was built can be sent, what is committed can be left out", async () => {
    const files = {
      ".gitignore": "dist/\n",
      ".maestroignore": "!dist/\ntest/\n",
      "dist/app.js": "",
      "test/app.test.js": "",
      "app.js": "",
    };
    expect(await sent(files)).toEqual([".gitignore", ".maestroignore", "app.js", "dist/app.js"]);
  });

  it("can leave out node_modules", async () => {
    const files = { ".maestroignore": "node_modules/\n", "node_modules/x/index.js": "", "bundle.js": "" };
    expect(await sent(files)).toEqual([".maestroignore", "bundle.js"]);
  });
});

describe("what is never sent", () => {
  it("is history, .env files and Maestro's own home, whatever the files say", async () => {
    const files = {
      ".maestroignore": "!.env\n!.git\n",
      ".env": "SECRET=1",
      ".env.production": "SECRET=2",
      "packages/x/.env": "SECRET=3",
      ".git/HEAD": "ref: refs/heads/main",
      ".maestro/apps/x/incoming/app.js": "",
      "environment.js": "",
    };
    expect(await sent(files)).toEqual([".maestroignore", "environment.js"]);
  });

  it("nothing of a tree without ignore files is left out", async () => {
    expect(await sent(tree)).toEqual(Object.keys(tree).sort());
  });
});

describe("rsync", () => {
  it("gets directories after --, absolute and with a slash at the end, and the rules on standard input", () => {
    const args = rsyncArguments("/home/ann/-odd; rm -rf", "/var/lib/maestro/apps/x/incoming/");
    expect(args.slice(args.indexOf("--"))).toEqual([
      "--",
      "/home/ann/-odd; rm -rf/",
      "/var/lib/maestro/apps/x/incoming/",
    ]);
    expect(args).toContain("--filter=merge_-");
    expect(args).toContain("--delete-excluded");
    expect(args).not.toContain("--owner");
  });

  it("gets the strongest rule first, since the first that matches decides", () => {
    expect(translateIgnore(["*.log", "!keep.log"], "")).toEqual([
      "+ /keep.log",
      "+ /**/keep.log",
      "- /*.log",
      "- /**/*.log",
    ]);
  });
});
