import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Builder, BuildProgram } from "../../../src/app/build.ts";
import { createReleaseStore } from "../../../src/release/store.ts";
import { type Tree, temporaryDirectory, writeTree } from "../../support/release.ts";

/** Notes what has to be done, and does what a test says in its place. */
class ScriptedBuilder implements Builder {
  readonly user = null;
  readonly signal = new AbortController().signal;
  readonly ran: BuildProgram[] = [];
  readonly #act: (program: BuildProgram) => void;

  constructor(act: (program: BuildProgram) => void = () => {}) {
    this.#act = act;
  }

  readonly say = () => {};

  async run(program: BuildProgram): Promise<void> {
    this.ran.push(program);
    this.#act(program);
  }

  get commands(): string[] {
    return this.ran.map(({ command }) => command.join(" "));
  }
}

/** What is run of a project, with its package managers from the registry. */
async function make(tree: Tree, act?: (program: BuildProgram) => void) {
  const home = temporaryDirectory();
  const store = createReleaseStore({ home, keep: 5, keepDays: 30 });
  const incoming = writeTree(await store.prepareIncoming("demo", null), tree);
  const builder = new ScriptedBuilder(act);
  const request = { app: "demo", gid: null, latest: null, above: 0, builder };
  const again = async (latest: number) => {
    const made = await store.make({ ...request, latest, above: latest });
    await made.stored;
    return made;
  };
  const made = await store.make(request);
  await made.stored;
  return { builder, made, incoming, again, store };
}

const packageJson = (fields: object) => JSON.stringify({ scripts: { start: "node a.js" }, ...fields });
const ms = { dependencies: { ms: "2.1.3" } };
const npmLock = '{"lockfileVersion":3,"packages":{}}';

describe("how a project is built", () => {
  test.each<[string, Tree, RegExp[]]>([
    ["nothing to install", { "package.json": packageJson({}) }, []],
    ["packages that were sent", { "package.json": packageJson(ms), "node_modules/ms/index.js": "" }, []],
    [
      "a lock file of npm",
      { "package.json": packageJson(ms), "package-lock.json": npmLock },
      [/^npm ci --omit=dev$/],
    ],
    [
      "a shrinkwrap",
      { "package.json": packageJson(ms), "npm-shrinkwrap.json": npmLock },
      [/^npm ci --omit=dev$/],
    ],
    ["no lock file", { "package.json": packageJson(ms) }, [/^npm install --no-package-lock --omit=dev$/]],
    [
      "a build script and nothing to install",
      { "package.json": packageJson({ scripts: { start: "node a.js", build: "make" } }) },
      [/^npm run build$/],
    ],
    [
      "a Procfile of what is installed, and a script of Python in a project of Node",
      { Procfile: "web: ./serve", "gen.py": "", "package.json": packageJson({}) },
      [],
    ],
    [
      "a Procfile of Python without requirements",
      { Procfile: "web: python serve.py", "serve.py": "" },
      [/^python3 -m venv --without-pip \.venv$/],
    ],
    [
      "a lock file of an old yarn",
      { "package.json": packageJson(ms), "yarn.lock": "# yarn lockfile v1\n" },
      [/^yarn install .*--frozen-lockfile --production=true$/],
    ],
  ])("%s", async (_, tree, expected) => {
    const { builder } = await make(tree);
    expect(builder.commands).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
  });

  test("a package manager that is not known is refused", async () => {
    const refused = make({ "package.json": packageJson({ ...ms, packageManager: "bun@1.0.0" }) });
    await expect(refused).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining('"bun@1.0.0" is not known'),
    });
  });

  test("without a lock file the deploy says so", async () => {
    const { made } = await make({ "package.json": packageJson(ms) });
    expect(made.release.plan.notes).toEqual([expect.stringContaining("there is no lock file")]);
  });
});

/** As an installation would: one package. */
const installs = ({ command, directory }: BuildProgram) => {
  if (command.includes("ci"))
    writeTree(`${directory}/node_modules`, { "ms/index.js": "module", "ms/bin": { program: "#!" } });
};

describe("what was installed is kept", () => {
  const tree = { "package.json": packageJson(ms), "package-lock.json": npmLock, "a.js": "1" };

  test("by what decides it: another start script installs nothing, another lock file does", async () => {
    const { builder, incoming, again } = await make(tree, installs);
    writeTree(incoming, {
      "a.js": "2",
      "package.json": packageJson({ ...ms, version: "2.0.0", scripts: { start: "x" } }),
    });
    const second = await again(1);
    expect(builder.commands).toHaveLength(1);
    expect(second.release).toMatchObject({ number: 2, files: 5 });
    writeTree(incoming, { "package-lock.json": `${npmLock} ` });
    await again(2);
    expect(builder.commands).toHaveLength(2);
  });

  test("a file of it that is gone or cut short makes all of it be installed anew", async () => {
    const { builder, incoming, again, store } = await make(tree, installs);
    const cache = join(incoming, "..", "cache");
    for (const key of readdirSync(cache)) rmSync(join(cache, key, "tree/node_modules/ms/index.js"));
    writeTree(incoming, { "a.js": "2" });
    await again(1);
    expect(builder.commands).toHaveLength(2);
    expect((await store.get("demo", 2)).files).toBe(5);
  });

  test("for each app by itself", async () => {
    const { builder, store } = await make(tree, installs);
    writeTree(await store.prepareIncoming("other", null), tree);
    await (await store.make({ app: "other", gid: null, latest: null, above: 0, builder })).stored;
    expect(builder.commands).toHaveLength(2);
  });
});
