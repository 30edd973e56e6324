import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeployProgress } from "../../src/app/reports.ts";
import { fetchFrom } from "../support/load.ts";
import { TestMaestro } from "../support/maestro.ts";
import { nodeProject, project } from "../support/project.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--warm", "0", "--stream-drain", "0", "--request-drain", "1");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

async function deploy(app: string, directory: string): Promise<string[]> {
  const titles: string[] = [];
  const onProgress = ({ step, state, detail = "" }: DeployProgress) =>
    void (step === "build" && state === "began" && titles.push(detail));
  await maestro.send(app, directory);
  await (await maestro.client()).call("restart", { app }, { onProgress });
  return titles;
}

const served = async (app: string, path = "/") =>
  (await fetchFrom(maestro.httpPort, `${app}.localhost`, { path })).body;

/** vendor/hail-1.0.0-py3-none-any.whl: a wheel is an archive, and to install it takes no network. */
function wheel(directory: string): void {
  const info = "hail-1.0.0.dist-info";
  const program = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("hail.py", 'word = "hail"')
    wheel.writestr("${info}/METADATA", "Metadata-Version: 2.1\\nName: hail\\nVersion: 1.0.0\\n")
    wheel.writestr("${info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("${info}/RECORD", "hail.py,,\\n${info}/METADATA,,\\n${info}/WHEEL,,\\n${info}/RECORD,,\\n")
`;
  execFileSync("python3", ["-c", program, join(directory, "vendor", "hail-1.0.0-py3-none-any.whl")]);
}

const pythonServer = `
import os, sys, hail
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((hail.word + " " + sys.prefix + " " + open("version.txt").read()).encode())
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
`;

describe("a project of Python", () => {
  it("gets an environment of its own, with what requirements.txt names, and keeps it", async () => {
    const directory = project({
      "requirements.txt": "--no-index\n./vendor/hail-1.0.0-py3-none-any.whl\n",
      "vendor/README": "",
      Procfile: "web: python server.py\n",
      "server.py": pythonServer,
      "version.txt": "one",
    });
    wheel(directory);
    expect(await deploy("snake", directory)).toEqual([
      expect.stringMatching(/^Making an environment of Python 3/),
      "Installing requirements.txt",
    ]);
    expect(await served("snake")).toMatch(/^hail .*\/\.venv one$/);
  });
});

describe("a site", () => {
  it("that has a build script is built, and the directory that app.json names is served", async () => {
    const compile = `
      import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
      mkdirSync("public/deep", { recursive: true });
      writeFileSync("public/index.html", "built " + readFileSync("version.txt", "utf8"));
    `;
    const scripts = { build: "node compile.js", start: "a server for its author" };
    const appJson = JSON.stringify({ maestro: { static: "public/" } });
    const directory = nodeProject({ "compile.js": compile, "app.json": appJson }, { scripts });
    await deploy("site", directory);
    expect(await served("site")).toBe("built first");
    expect(await served("site", "/package.json")).not.toContain("built");

    writeFileSync(join(directory, "app.json"), JSON.stringify({ maestro: { static: "elsewhere" } }));
    await expect(deploy("site", directory)).rejects.toMatchObject({
      code: "NOTHING_TO_RUN",
      message: expect.stringContaining('there is no directory "elsewhere"'),
    });
    expect(await served("site")).toBe("built first");
  });
});

describe("engines.node of package.json", () => {
  it("chooses the Node by which an app is built and served, fetched once and removed with its last release", async () => {
    const client = await maestro.client();
    const directory = nodeProject({}, { engines: { node: "22.x" } });
    expect(await deploy("older", directory)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^Fetching node-v22\./)]),
    );
    const { node } = JSON.parse(await served("older"));
    expect(node).toMatch(/^v22\./);
    const runtime = join(maestro.home, "runtimes", `node-${node}`);
    expect(existsSync(runtime)).toBe(true);
    await client.call("remove", { app: "older" });
    expect(existsSync(runtime)).toBe(false);
    expect(existsSync(join(maestro.home, "runtimes", `node-${process.version}`))).toBe(true);
  });

  it.each([
    ["names no version that there is", ">=999", "BUILD_FAILED", /there is no Node .* ">=999"/],
    ["is not a range", "the newest", "BAD_INPUT", /"the newest" is not a range/],
  ])("that %s is refused", async (_, range, code, message) => {
    const failure = await deploy("wrong", nodeProject({}, { engines: { node: range } })).catch(
      (error) => error,
    );
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
