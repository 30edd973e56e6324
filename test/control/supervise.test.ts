import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { Controller } from "../../src/control/controller.ts";
import { findInstances } from "../../src/control/found.ts";
import { History } from "../../src/control/history.ts";
import type { Databases, EndedInstance, Releases, Traffic } from "../../src/control/ports.ts";
import { Registry } from "../../src/control/registry.ts";
import { startInstance } from "../../src/control/start.ts";
import { enterService } from "../../src/control/supervise.ts";
import { MaestroError } from "../../src/errors.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import { Stamps } from "../../src/lib/stamp.ts";
import { AppLogs } from "../../src/logs/app-logs.ts";
import { release, ScriptedRunner } from "../support/scripted-runner.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "maestro-supervise-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

/** What an instance leaves behind hangs in the kernel: it can be killed, and does not end. */
class HangingRunner extends ScriptedRunner {
  override async stop(): Promise<never> {
    throw new MaestroError("INTERNAL", "blog.web.1 could not be ended within 5 s");
  }

  /** How the instance ends, which nobody asked for. */
  die(key: string): void {
    this.end(key, { code: 3, signal: null });
  }
}

class LeftBehind extends HangingRunner {
  override async adopt(): Promise<EndedInstance> {
    const running = { key: "blog.web.1.v3.1", pid: 4_000_001, startTime: "1" };
    const ended = { code: 3, signal: null };
    const output = { stdout: "", stderr: "" };
    const facts = { key: running.key, id: "web.1", app: "blog", release: 3, port: null, output };
    return { ...facts, ended, endedAt: null, leftBehind: { ...running, exited: Promise.resolve(ended) } };
  }
}

/** With the events that it logs. */
async function controllerWith(runner: ScriptedRunner) {
  const registry = await Registry.open(home, "localhost");
  const stamps = new Stamps();
  const events: string[] = [];
  const heard = Promise.withResolvers<void>();
  const note = (_facts: object, event: string) => {
    events.push(event);
    if (event === "instance.not-ended") heard.resolve();
  };
  const log: Log = { ...silentLog, warn: note, error: note };
  const controller = new Controller({
    config: loadConfig({ home }, {}),
    log,
    registry,
    history: await History.open({ home, stamps, log: silentLog }),
    stamps,
    runner,
    releases: { directory: () => "/release" } as unknown as Releases,
    traffic: { apply: async () => {} } as unknown as Traffic,
    logs: new AppLogs(home),
    databases: { urlOf: async () => null } as unknown as Databases,
    httpPort: 8000,
  });
  return { controller, events, heard: heard.promise };
}

it("what a dead instance left behind, and cannot be ended, is said and ends nobody else", async () => {
  const runner = new HangingRunner([null], []);
  const { controller, events, heard } = await controllerWith(runner);
  const app = await controller.registry.create("blog", false);
  const instance = await startInstance(
    controller,
    { app, release, id: "web.1" },
    new AbortController().signal,
  );
  enterService(controller, app, instance);
  runner.die(instance.key);
  await heard;
  controller.runtime("blog").giveUpRevivals();
  expect(events).toContain("instance.not-ended");
});

it("a controller starts beside what an earlier one left and cannot be ended, and the next one finds it again", async () => {
  const path = join(home, "run", "instances", "blog.web.1.v3.1");
  await mkdir(path, { recursive: true });
  const { controller, events } = await controllerWith(new LeftBehind([], []));
  const { running, ended } = await findInstances(controller);
  expect({ running: running.size, ended: ended.length }).toEqual({ running: 0, ended: 1 });
  expect(events).toEqual(["instance.not-tidied"]);
  expect(existsSync(path)).toBe(true);
});
