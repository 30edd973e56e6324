import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { DeployProgress } from "../../src/app/reports.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--stop-grace", "5", "--release-timeout", "1", "--warm", "0");
  await maestro.send("shop", fixture("procfile"));
  await (await maestro.client()).call("config_set", { app: "shop", set: { GREETING: "hello" } });
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const restart = async (onProgress?: (progress: DeployProgress) => void) =>
  (await maestro.client()).call(
    "restart",
    { app: "shop", hostname: "shop.test", commit: "0123abcd" },
    onProgress ? { onProgress } : {},
  );
const served = async () => JSON.parse((await fetchFrom(maestro.httpPort, "shop.test")).body);
const migrations = () =>
  readFileSync(join(maestro.home, "apps/shop/storage/journal"), "utf8").trim().split("\n");
const instances = async () => (await maestro.client()).call("ps", { app: "shop" });

describe("the release process of a Procfile", () => {
  it("runs before anything is started, and its output is told as it comes, to the last line", async () => {
    const told: DeployProgress[] = [];
    await restart((progress) => told.push(progress));
    const steps = told.map(({ step, state }) => `${step} ${state}`);
    expect(steps.slice(2, 9)).toEqual([
      "release began",
      "release done",
      "prepare began",
      "prepare output",
      "prepare output",
      "prepare done",
      "start began",
    ]);
    expect(told.filter(({ state }) => state === "output").map(({ detail }) => detail)).toEqual([
      "migrating for v1 as release.1, port undefined",
      "done, without a newline",
    ]);
    expect((await instances()).map(({ instance }) => instance).sort()).toEqual(["web.1", "worker.1"]);
  });

  it("runs once for a release: not for fresh instances of the same, again for another config", async () => {
    await restart();
    expect(migrations()).toEqual(["v1"]);
    await (await maestro.client()).call("config_set", { app: "shop", set: { EXTRA: "1" } });
    expect(migrations()).toEqual(["v1", "v2"]);
  });

  it("stops the deploy when it fails, with its last words; the old release serves on", async () => {
    const failure = await (await maestro.client())
      .call("config_set", { app: "shop", set: { FAILS: "1" } })
      .catch((error) => error);
    expect(failure).toMatchObject({
      code: "BUILD_FAILED",
      message: "the release process of shop exited with code 5; v3 was not put live",
      details: { app: "shop", process: "release", exitCode: 5 },
    });
    expect(failure.details.lastLines).toContain("the table is locked");
    expect(await served()).toMatchObject({ release: "v2" });
    expect((await instances()).map(({ release, state }) => `${release} ${state}`)).toEqual([
      "2 serving",
      "2 serving",
    ]);
  });

  it("is ended when its time is over", async () => {
    const failure = await (await maestro.client())
      .call("config_set", { app: "shop", set: { HANGS: "1" } })
      .catch((error) => error);
    expect(failure).toMatchObject({ code: "BUILD_FAILED", message: expect.stringContaining("within 1 s") });
    expect((await instances()).map(({ instance }) => instance).sort()).toEqual(["web.1", "worker.1"]);
    expect(await served()).toMatchObject({ release: "v2" });
  });

  it("is ended with a Maestro that ends, and by the next one when the first was killed", async () => {
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      const since = maestro.logLength;
      const failing = (await maestro.client())
        .call("config_set", { app: "shop", set: { HANGS: "1" } })
        .catch((error) => error);
      await maestro.until("instance.started", (entry) => entry["instance"] === "release.1", since);
      await maestro.end(signal);
      await failing;
      const again = maestro.logLength;
      await maestro.serve();
      await maestro.until("maestro.settled", () => true, again);
      const running = async () =>
        (await readdir(join(maestro.home, "run/instances"))).map((key) => key.split(".v")[0]).sort();
      // Those that ended with it are started again after that.
      await vi.waitFor(async () => expect(await running()).toEqual(["shop.web.1", "shop.worker.1"]), {
        timeout: 20_000,
      });
      expect(await served()).toMatchObject({ release: "v2" });
    }
  });

  it("is told in the history of the release: who, of which commit, with which config, and how long each step took", async () => {
    const { releases, deploys } = await (await maestro.client()).call("releases", { app: "shop" });
    const first = releases.find(({ release }) => release === 1);
    expect(first).toMatchObject({
      by: "an admin (loopback)",
      commit: "0123abcd",
      config: 1,
      checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const steps = ["check", "release", "prepare", "start", "ready", "switch"];
    expect(first?.steps?.map(({ step }) => step)).toEqual(steps);
    expect(deploys.map(({ what, outcome }) => `${what} ${outcome}`)).toContain("config undone");
  });
});
