import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PortAllocator } from "../../src/apprunner/ports.ts";
import { fixtures } from "../support/apprunner.ts";

const run = promisify(execFile);
const bin = resolve(import.meta.dirname, "../../bin");
const apprunner = join(bin, "apprunner");

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "bin-test-"));
  await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true }));

describe("apprunner", () => {
  /** Has it run `processes`, whose handlers show that the signals reach the app itself. */
  async function runInForeground(words: string[], app = "finishes.js") {
    using lease = await new PortAllocator().lease();
    const source = await mkdtemp(join(directory, "app-"));
    await cp(join(fixtures, "processes", app), join(source, "app.js"));
    await chmod(source, 0o755);
    const env = { ...process.env, MAESTRO_HOME: join(directory, "home") };
    const all = ["--name", "old", "--port", String(lease.port), ...words, source];
    const child = spawn(apprunner, all, { env, stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    expect(line).toBe("up\n");
    return child;
  }

  it("runs an app in the foreground, and ends as the app ends", async () => {
    const child = await runInForeground([]);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([7, null]);
  });

  it("becomes the app where there is no sandbox between", async () => {
    const child = await runInForeground(["--isolation", "process"]);
    expect(await readFile(`/proc/${child.pid}/cmdline`, "utf8")).toMatch(/node\0app\.js\0$/);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([7, null]);
  });

  it("explains itself", async () => {
    expect((await run(apprunner, ["--help"])).stdout).toMatch(/^Usage: apprunner --name NAME --port PORT/);
  });

  it.each([
    [[], "--name is missing"],
    [["--name", "Not A Name", "--port", "3000", "."], "--name is missing, or not an app name"],
    [["--name", "a", "--port", "0", "."], "--port is missing, or not a number"],
    [["--name", "a", "--port", "3000"], "name one directory"],
    [["--name", "a", "--port", "3000", "--user", "root", "."], "--user is not the number of a user"],
    [["--name", "a", "--port", "3000", "--isolation", "total", "."], "--isolation is not one of process"],
    [["--nmae", "a"], "Unknown option '--nmae'"],
  ])("answers the words %j with a sentence and exit code 2", async (words, sentence) => {
    await expect(run(apprunner, words)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining(sentence),
    });
  });
});

describe("the launchers", () => {
  /** A package with a launcher, and a Node that only says what it was asked to run. */
  async function fakePackage(at: string, files: string[]): Promise<string> {
    const root = join(directory, at);
    const arch = process.arch === "arm64" ? "arm64" : "x64";
    const node = join(root, "node_modules", `node-linux-${arch}`, "bin", "node");
    for (const path of [join(root, "bin"), join(root, "dist/bin"), join(node, "..")])
      await mkdir(path, { recursive: true });
    await writeFile(node, '#!/bin/sh\nprintf "%s\\n" "$@"\n');
    await chmod(node, 0o755);
    await cp(apprunner, join(root, "bin/apprunner"));
    for (const file of files) await writeFile(join(root, file), "");
    return join(root, "bin/apprunner");
  }

  it("run the sources in a clone, also through a link", async () => {
    const launcher = await fakePackage("clone", ["bin/apprunner.ts", "dist/bin/apprunner.js"]);
    const link = join(directory, "link");
    await symlink(launcher, link);
    const { stdout } = await run(link, ["--name", "a b"]);
    const script = join(directory, "clone/bin/apprunner.ts");
    expect(stdout).toBe(`--disable-warning=ExperimentalWarning\n${script}\n--name\na b\n`);
  });

  it.each([
    ["node_modules/maestro", ["bin/apprunner.ts"]],
    ["package", []],
  ])("run the built files in %s", async (at, files) => {
    const launcher = await fakePackage(at, files);
    const { stdout } = await run(launcher, []);
    expect(resolve(stdout.trim().split("\n").at(-1) ?? "")).toBe(
      join(directory, at, "dist/bin/apprunner.js"),
    );
  });

  it("say what to do when there is no Node for them", async () => {
    const launcher = join(directory, "alone");
    await cp(apprunner, launcher);
    const attempt = run(launcher, [], { env: { PATH: "/usr/bin:/bin" } });
    await expect(attempt).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("Node 24 or later was not found"),
    });
  });
});
