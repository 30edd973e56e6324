import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ReleasePlan } from "../../src/app/release.ts";
import { detect } from "../../src/release/detect.ts";
import { type Tree, temporaryDirectory, writeTree } from "../support/release.ts";

const detectIn = (tree: Tree) => detect(writeTree(temporaryDirectory(), tree));
const http = { kind: "http", path: "/" };

describe("what is started is the first of", () => {
  const cases: [string, Tree, Pick<ReleasePlan, "source" | "processes">, unknown][] = [
    [
      "a Procfile, over everything else",
      {
        Procfile: "web: node a.js\nworker: node b.js --fast\n",
        "package.json": '{"scripts":{"start":"node c.js"}}',
        "app.js": "",
      },
      {
        source: "Procfile",
        processes: {
          web: { kind: "line", line: "node a.js" },
          worker: { kind: "line", line: "node b.js --fast" },
        },
      },
      http,
    ],
    [
      "package.json's start script, as the line that it is",
      { "package.json": '{"scripts":{"start":"node c.js | cat"}}', "apprunner.js": "", "app.js": "" },
      {
        source: "package.json scripts.start",
        processes: { web: { kind: "line", line: "node c.js | cat" } },
      },
      http,
    ],
    [
      "apprunner.js, ready when its port accepts",
      { "apprunner.js": "", "webapp/app.js": "", "app.js": "", "package.json": "{}" },
      { source: "apprunner.js", processes: { web: { kind: "apprunner" } } },
      { kind: "port" },
    ],
    [
      "app.js",
      { "app.js": "", "server.js": "", "index.js": "" },
      { source: "app.js", processes: { web: { kind: "node", file: "app.js" } } },
      http,
    ],
    [
      "server.js",
      { "server.js": "", "index.js": "", "index.html": "" },
      { source: "server.js", processes: { web: { kind: "node", file: "server.js" } } },
      http,
    ],
    [
      "index.js",
      { "index.js": "", "index.html": "" },
      { source: "index.js", processes: { web: { kind: "node", file: "index.js" } } },
      http,
    ],
    [
      "index.html, as static files",
      { "index.html": "<p>", "package.json": '{"scripts":{"start":"  "}}' },
      { source: "index.html", processes: { web: { kind: "static" } } },
      http,
    ],
  ];
  test.each(cases)("%s", async (_, tree, expected, ready) => {
    expect(await detectIn(tree)).toEqual({
      ...expected,
      ready,
      env: {},
      formation: {},
      hostnames: [],
      storage: false,
      limits: {},
      notes: [],
    });
  });
});

test("a directory with nothing to start says what was looked for and where", async () => {
  const directory = writeTree(temporaryDirectory(), { "README.md": "hello", "app.js": null });
  const failure = detect(directory, "/srv/incoming");
  await expect(failure).rejects.toMatchObject({ code: "NOTHING_TO_RUN" });
  await expect(failure).rejects.toThrow(
    /in \/srv\/incoming: it has none of Procfile, .*apprunner\.js.*index\.html$/,
  );
});

test("an app sent by the command of 2012 without its apprunner.js gets a hint", async () => {
  await expect(detectIn({ "webapp/package.json": "{}" })).rejects.toThrow(
    /needs an apprunner\.js beside webapp\//,
  );
});

test("a start file may be a symlink to a file inside, and not to one outside", async () => {
  expect(await detectIn({ "app.js": { link: "src/main.js" }, "src/main.js": "" })).toMatchObject({
    source: "app.js",
  });
  await expect(detectIn({ Procfile: { link: "/etc/passwd" } })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(detectIn({ "app.js": { link: "/etc/passwd" } })).rejects.toThrow(
    /app\.js is a symlink that leads out/,
  );
});

test("a dangling symlink is no file", async () => {
  expect(await detectIn({ "app.js": { link: "gone.js" }, "server.js": "" })).toMatchObject({
    source: "server.js",
  });
});

describe("package.json", () => {
  test("a prestart script is noted, because it is not run", async () => {
    const { notes } = await detectIn({ "package.json": '{"scripts":{"start":"node a","prestart":"tsc"}}' });
    expect(notes).toEqual([expect.stringContaining("prestart is not run")]);
  });

  test.each([
    ["that is not JSON", "{", /package\.json is not JSON: .*JSON/],
    ["that is a list", "[]", /package\.json is not in the form/],
    ["whose start script is not text", '{"scripts":{"start":["a"]}}', /scripts\.start/],
    ["that is huge", `"${"x".repeat(2 ** 20)}"`, /larger than/],
    ["that is not UTF-8", null, /not UTF-8/],
  ])("one %s is refused", async (_, text, message) => {
    const directory = writeTree(temporaryDirectory(), { "app.js": "" });
    writeFileSync(`${directory}/package.json`, text ?? Buffer.from([0x7b, 0xff, 0x7d]));
    await expect(detect(directory)).rejects.toMatchObject({
      code: "BAD_INPUT",
      details: { file: "package.json" },
    });
    await expect(detect(directory)).rejects.toThrow(message);
  });
});
