import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { App } from "../../src/app/app.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";
import { standsStill } from "../support/standing.ts";

const preload = pathToFileURL(join(repository, "test/support/kill-at.ts")).href;
const killAt = (point: string) => ({ NODE_OPTIONS: `--import=${preload}`, KILL_AT: point });

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--request-drain", "5", "--stop-grace", "5", "--keep-releases", "20");
  await maestro.deploy("shop", fixture("environment"));
  const since = maestro.logLength;
  await set("before all");
  // What still drained would reach the first point in the next controller, before the change.
  await maestro.until("app.settled", () => true, since);
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const client = () => maestro.client();
const set = async (value: string) =>
  (await client()).call("config_set", { app: "shop", set: { KEY: value } });
const rollback = async () => (await client()).call("rollback", { app: "shop" });
const scale = async (web: number) => (await client()).call("scale", { app: "shop", counts: { web } });
const registered = async () =>
  App.parse(JSON.parse(await readFile(join(maestro.home, "state/apps/shop.json"), "utf8")));
const served = async () => JSON.parse((await fetchFrom(maestro.httpPort, "shop.test")).body);
const instances = async (state: string) =>
  (await (await client()).call("ps", { app: "shop" })).filter((instance) => instance.state === state);

/** Ends the controller at a point of a change, and starts the next one. */
async function cutAt(point: string, change: () => Promise<unknown>): Promise<void> {
  await maestro.end("SIGTERM");
  await maestro.serve(killAt(point));
  await change().catch(() => {});
  await maestro.ended();
  const since = maestro.logLength;
  // Nobody who is served notices, while there is no controller.
  expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
  await maestro.serve();
  await maestro.until("maestro.settled", () => true, since);
}

/** What serves is what the registry says, what is frozen is that, and nothing else is there. */
async function expectWhole(): Promise<void> {
  const { release, config, scale } = await registered();
  const serving = await instances("serving");
  const count = scale["web"] === 2 ? 2 : 1;
  expect(serving.map((instance) => instance.release)).toEqual(Array.from({ length: count }, () => release));
  expect(await served()).toMatchObject({ MAESTRO_RELEASE: `v${release}` });

  // One that still drains, freezes or ends is in neither list, and there until it has.
  const frozen = await vi.waitFor(
    async () => {
      const kept = await instances("frozen");
      const all = [...serving, ...kept].map(({ key }) => key).sort();
      expect((await readdir(join(maestro.home, "run/instances"))).sort()).toEqual(all);
      return kept;
    },
    { timeout: 20_000 },
  );
  expect(frozen.map(({ pid }) => standsStill(pid))).toEqual(frozen.map(() => true));

  const { releases } = await (await client()).call("releases", { app: "shop" });
  const versions = new Set(
    [config, ...releases.map((entry) => entry.config ?? null)].filter((one) => one !== null),
  );
  const files = await readdir(join(maestro.home, "state/config/shop"));
  expect(files.sort()).toEqual([...versions].map((version) => `c${version}.json`).sort());
}

const outcome = async () => (await (await client()).call("releases", { app: "shop" })).deploys[0]?.outcome;

const undecided = ["release:done", "save:began"];
const decided = ["save:done", "switch:done"];

describe("a controller that is killed in the middle of a change of the config, at", () => {
  it.each(undecided)("%s, leaves the release and the config that were", async (point) => {
    const { KEY, MAESTRO_RELEASE } = await served();
    await cutAt(point, () => set(point));
    expect(await served()).toMatchObject({ KEY, MAESTRO_RELEASE });
    expect(await outcome()).toBe("undone");
    await expectWhole();
  });

  it.each(decided)("%s, leaves the new release with the new config", async (point) => {
    await cutAt(point, () => set(point));
    expect(await served()).toMatchObject({ KEY: point });
    expect(await outcome()).toBe("finished");
    await expectWhole();
  });
});

describe("a controller that is killed while what was replaced is being frozen, at", () => {
  it.each(["drain:done", "freeze:began", "freeze:done"])("%s, leaves it frozen or ends it", async (point) => {
    await cutAt(point, () => set(point));
    expect(await served()).toMatchObject({ KEY: point });
    await expectWhole();
    const { release } = await registered();
    expect((await rollback()).release).toBeLessThan(release ?? 0);
    await expectWhole();
  });
});

describe("a controller that is killed in the middle of a rollback, at", () => {
  /** Another release, and the one before it frozen. */
  async function warm(value: string): Promise<void> {
    const since = maestro.logLength;
    await set(value);
    await maestro.until("app.settled", () => true, since);
    expect(await instances("frozen")).not.toEqual([]);
  }

  it.each(["release:done", "start:done", "save:began"])(
    "%s, leaves the release that was to be left; the other one can still be gone back to",
    async (point) => {
      await warm(`for ${point}`);
      await cutAt(point, rollback);
      expect(await served()).toMatchObject({ KEY: `for ${point}` });
      expect(await outcome()).toBe("undone");
      await expectWhole();
      await rollback();
      expect((await served()).KEY).not.toBe(`for ${point}`);
    },
  );

  it.each(decided)("%s, leaves the release that was gone back to, with its config", async (point) => {
    const { KEY } = await served();
    await warm(`for ${point}`);
    await cutAt(point, rollback);
    expect(await served()).toMatchObject({ KEY });
    expect(await outcome()).toBe("finished");
    await expectWhole();
  });
});

describe("a controller that is killed in the middle of scaling, at", () => {
  it("ready:done, leaves as many as there were", async () => {
    await cutAt("ready:done", () => scale(2));
    expect(await outcome()).toBe("undone");
    await expectWhole();
    expect((await registered()).scale).toEqual({});
  });

  it.each([
    ["switch:began", 2],
    ["switch:done", 1],
  ])("%s, leaves as many as are wanted", async (point, count) => {
    await cutAt(point, () => scale(count));
    expect(await outcome()).toBe("finished");
    await expectWhole();
    expect((await registered()).scale).toEqual({ web: count });
  });
});
