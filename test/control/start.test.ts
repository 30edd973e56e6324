import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { Controller } from "../../src/control/controller.ts";
import { History } from "../../src/control/history.ts";
import type { Databases, Releases, Traffic } from "../../src/control/ports.ts";
import { Registry } from "../../src/control/registry.ts";
import { startInstance } from "../../src/control/start.ts";
import { MaestroError } from "../../src/errors.ts";
import { silentLog } from "../../src/lib/log.ts";
import { Stamps } from "../../src/lib/stamp.ts";
import { AppLogs } from "../../src/logs/app-logs.ts";
import { release, ScriptedRunner } from "../support/scripted-runner.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "maestro-start-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

async function startWith(runner: ScriptedRunner) {
  const logs = new AppLogs(home);
  logs.lastLines = async () => runner.words;
  const registry = await Registry.open(home, "localhost");
  const stamps = new Stamps();
  const controller = new Controller({
    config: loadConfig({ home }, {}),
    log: silentLog,
    registry,
    history: await History.open({ home, stamps, log: silentLog }),
    stamps,
    runner,
    // An instance is started without a look at these but for the directory of its release.
    releases: { directory: () => "/release" } as unknown as Releases,
    traffic: {} as Traffic,
    logs,
    databases: { urlOf: async () => null } as unknown as Databases,
    httpPort: 8000,
  });
  const app = await registry.create("blog", false);
  return startInstance(controller, { app, release, id: "web.1" }, new AbortController().signal);
}

const exited = () => new MaestroError("APP_EXITED", "blog exited with code 1", { exitCode: 1, signal: null });

describe("an instance that finds its port taken", () => {
  it("is started again on another port, and the first port is free again", async () => {
    const runner = new ScriptedRunner([exited(), null], ["Error: listen EADDRINUSE: address already in use"]);
    const instance = await startWith(runner);
    expect(runner.launched.map(({ port }) => port)).toEqual([20_001, 20_002]);
    expect(runner.released).toEqual([20_001]);
    expect(instance).toMatchObject({ port: 20_002, address: { host: "127.0.0.1", port: 20_002 } });
  });

  it("is given up after three ports, with what it said", async () => {
    const words = ["bind: Address already in use"];
    const runner = new ScriptedRunner([exited(), exited(), exited()], words);
    await expect(startWith(runner)).rejects.toMatchObject({
      code: "APP_EXITED",
      details: { app: "blog", exitCode: 1, instance: "web.1", release: 3, lastLines: words },
    });
    expect(runner.launched).toHaveLength(3);
    expect(runner.stopped).toHaveLength(3);
  });
});

it("an instance that fails for another reason is not tried again", async () => {
  const runner = new ScriptedRunner([exited()], ["no database"]);
  await expect(startWith(runner)).rejects.toMatchObject({ details: { lastLines: ["no database"] } });
  expect(runner.launched).toHaveLength(1);
  expect(runner.released).toEqual([20_001]);
});

it("every launch has a key, a run directory and output files of its own", async () => {
  const runner = new ScriptedRunner([exited(), null], ["EADDRINUSE"]);
  await startWith(runner);
  const [first, second] = runner.launched;
  expect(first?.key).not.toBe(second?.key);
  expect(first?.runDirectory).not.toBe(second?.runDirectory);
  expect(first?.output).not.toEqual(second?.output);
});
