import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { DeployProgress, DeployReport } from "../../src/app/reports.ts";
import { fetchFrom } from "../support/load.ts";
import { TestMaestro } from "../support/maestro.ts";
import { nodeProject } from "../support/project.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--warm", "0", "--stream-drain", "0", "--request-drain", "1");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

type Deployed = { report: DeployReport; told: DeployProgress[]; titles: string[] };

async function deploy(app: string, directory: string): Promise<Deployed> {
  const told: DeployProgress[] = [];
  await maestro.send(app, directory);
  const onProgress = (step: DeployProgress) => told.push(step);
  const report = await (await maestro.client()).call("restart", { app }, { onProgress });
  return { report, told, titles: titlesOf(told) };
}

/** What a build said that it does, in its order. */
const titlesOf = (told: DeployProgress[]) =>
  told.flatMap(({ step, state, detail = "" }) => (step === "build" && state === "began" ? [detail] : []));

const failureOf = (deploying: Promise<unknown>) =>
  deploying.then(
    () => Promise.reject(new Error("it came about")),
    (error) => error,
  );

const served = async (app: string) =>
  JSON.parse((await fetchFrom(maestro.httpPort, `${app}.localhost`)).body);

const change = (directory: string, text: string) => writeFileSync(join(directory, "version.txt"), text);

const inApp = (app: string, ...path: string[]) => join(maestro.home, "apps", app, ...path);

/** Resolves when a build has left nothing but whole releases: the next one may be being staged meanwhile. */
const leavesNothing = (app: string) =>
  vi.waitFor(
    () => {
      const names = readdirSync(inApp(app, "releases"));
      expect(names.filter((name) => !/^(v\d+|\.staged-v\d+)$/.test(name))).toEqual([]);
    },
    { timeout: 10_000, interval: 20 },
  );

describe("a project of Node with a lock file", () => {
  it("is installed by it, built with its development dependencies, and served without them", async () => {
    const directory = nodeProject();
    await (await maestro.client()).call("config_set", { app: "shop", set: { SECRET: "from the config" } });
    const { titles, told } = await deploy("shop", directory);
    expect(titles.filter((title) => !title.startsWith("Fetching"))).toEqual([
      expect.stringMatching(/^Installing dependencies with npm \d+\.\d+\.\d+$/),
      "Building: npm run build",
      "Removing development dependencies",
    ]);
    const output = told.flatMap(({ state, detail }) => (state === "output" ? [detail] : []));
    expect(output.join("\n")).toMatch(/compiling as \d+ in .* production from the config/);
    expect(await served("shop")).toMatchObject({
      version: "first",
      greet: "greet 1.0.0",
      compiled: "pinned 1.0.0 first",
      pinned: false,
      node: process.version,
    });
    const { lines } = await (await maestro.client()).call("logs", { app: "shop", process: "build" });
    expect(lines.map(({ text }) => text).join("\n")).toMatch(
      /-----> Building: npm run build[\s\S]*compiling as/,
    );
    await leavesNothing("shop");
  });

  it("installs nothing when a line changed, and does nothing at all when nothing did", async () => {
    const directory = nodeProject({ "version.txt": "second" });
    const changed = await deploy("shop", directory);
    expect(changed.titles).toEqual(["Building: npm run build"]);
    expect(await served("shop")).toMatchObject({
      version: "second",
      compiled: "pinned 1.0.0 second",
      pinned: false,
    });

    const unchanged = await deploy("shop", directory);
    expect(unchanged.titles).toEqual([]);
    expect(unchanged.report.release).toBe(changed.report.release);
  });

  it("without a build script runs no program once its dependencies are there, and shares their files", async () => {
    const scripts = { start: "node server.js" };
    const directory = nodeProject({}, { scripts });
    expect((await deploy("plain", directory)).titles.at(-1)).toMatch(/^Installing dependencies/);
    expect(await served("plain")).toMatchObject({ greet: "greet 1.0.0", pinned: false });
    change(directory, "second");
    expect((await deploy("plain", directory)).titles).toEqual([]);
    expect(await served("plain")).toMatchObject({ version: "second" });
    const inodes = ["v1", "v2"].map(
      (release) => statSync(inApp("plain", "releases", release, "node_modules/greet/index.js")).ino,
    );
    expect(inodes[0]).toBe(inodes[1]);
  });

  it("whose lock file does not match is refused with what to do, and what served goes on", async () => {
    const dependencies = { greet: "file:vendor/greet-1.0.0.tgz", other: "1.0.0" };
    const failure = await failureOf(deploy("shop", nodeProject({}, { dependencies })));
    expect(failure).toMatchObject({
      code: "BUILD_FAILED",
      message:
        "shop could not be built: package-lock.json does not match package.json; run `npm install` and commit both",
    });
    expect(failure.details.lastLines.join("\n")).toContain("Missing: other@1.0.0 from lock file");
    expect(await served("shop")).toMatchObject({ version: "second" });
    await leavesNothing("shop");
  });

  it("whose build fails is refused with its last words, and what served goes on", async () => {
    const broken = "console.error('there is no such color'); process.exit(7);";
    const failure = await failureOf(deploy("shop", nodeProject({ "compile.js": broken })));
    expect(failure).toMatchObject({
      code: "BUILD_FAILED",
      message: 'shop could not be built: "Building: npm run build" exited with code 7',
    });
    expect(failure.details.lastLines).toContain("there is no such color");
    expect(await served("shop")).toMatchObject({ version: "second" });
    await leavesNothing("shop");
  });

  it("may write to its own files while it is built, and harms neither the cache nor an earlier release", async () => {
    const vandal = `
      import { appendFileSync, writeFileSync, mkdirSync } from "node:fs";
      appendFileSync("node_modules/greet/index.js", "export const harm = 1;\\n");
      appendFileSync("version.txt", " vandalised");
      mkdirSync("dist"); writeFileSync("dist/out.txt", "harm");
    `;
    await deploy("shop", nodeProject({ "compile.js": vandal, "version.txt": "third" }));
    expect(await served("shop")).toMatchObject({ version: "third vandalised", compiled: "harm" });
    const { releases } = await (await maestro.client()).call("releases", { app: "shop" });
    const before = releases.find(({ state }) => state === "previous")?.release;
    expect(
      readFileSync(inApp("shop", "releases", `v${before}`, "node_modules/greet/index.js"), "utf8"),
    ).not.toContain("harm");
    expect(readFileSync(inApp("shop", "releases", `v${before}`, "version.txt"), "utf8")).toBe("second");

    const again = await deploy("shop", nodeProject({ "version.txt": "fourth" }));
    expect(again.titles[0]).toBe("Building: npm run build");
    expect(
      readFileSync(
        inApp("shop", "releases", `v${again.report.release}`, "node_modules/greet/index.js"),
        "utf8",
      ),
    ).not.toContain("harm");
  });

  it("that runs out of memory fails for that reason", async () => {
    const hungry = "const all = []; for (;;) all.push(Buffer.alloc(2 ** 20, 1));";
    const appJson = JSON.stringify({ maestro: { build: { memory: "200M" } } });
    const failure = await failureOf(
      deploy("shop", nodeProject({ "compile.js": hungry, "app.json": appJson })),
    );
    expect(failure.code).toBe("BUILD_FAILED");
    expect(failure.message).toContain("ran out of memory (a build may have 200M)");
    expect(await served("shop")).toMatchObject({ version: "fourth" });
  });
});
