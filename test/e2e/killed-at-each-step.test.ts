import { readFileSync, readlinkSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { App } from "../../src/app/app.ts";
import { DeployRecord } from "../../src/app/deploy.ts";
import { listProcesses } from "../../src/lib/processes.ts";
import { nameOf, shimNameOf } from "../support/chaos-processes.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";

const preload = pathToFileURL(join(repository, "test/support/kill-at.ts")).href;
const killAt = (point: string) => ({ NODE_OPTIONS: `--import=${preload}`, KILL_AT: point });
const version = (name: string) => ({ "version.js": `export const version = ${JSON.stringify(name)};\n` });

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start(
    "--stream-drain",
    "1",
    "--request-drain",
    "5",
    "--keep-releases",
    "3",
    "--warm",
    "0",
  );
  await maestro.deploy("shop", fixture("traffic"), version("before all"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const namesIn = (...path: string[]) => readdir(join(maestro.home, ...path));
const registered = async () =>
  App.parse(JSON.parse(await readFile(join(maestro.home, "state/apps/shop.json"), "utf8")));
const serves = async () => JSON.parse((await fetchFrom(maestro.httpPort, "shop.test")).body);

async function lastDeploy(): Promise<DeployRecord> {
  const name = (await namesIn("state/deploys/shop")).sort().at(-1) ?? expect.fail("no record");
  return DeployRecord.parse(
    JSON.parse(await readFile(join(maestro.home, "state/deploys/shop", name), "utf8")),
  );
}

/** Ends the controller at a point of a deploy, and starts the next one; answers whether the deploy was confirmed. */
async function deployCutAt(point: string): Promise<boolean> {
  await maestro.end("SIGTERM");
  await maestro.serve(killAt(point));
  const confirmed = await maestro.change("shop", version(point)).then(
    () => true,
    () => false,
  );
  await maestro.ended();
  const since = maestro.logLength;
  // Nobody who is served notices, while there is no controller.
  expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
  await maestro.serve();
  await maestro.until("maestro.settled", () => true, since);
  return confirmed;
}

/** One release serves, the registry agrees, and nothing else is left of any other. */
async function expectOneWhole(): Promise<number> {
  const app = await registered();
  const release = app.release ?? expect.fail("no release");
  expect(await serves()).toMatchObject({ release: `v${release}` });

  const instances = await (await maestro.client()).call("ps", { app: "shop" });
  expect(instances.map(({ state, release }) => ({ state, release }))).toEqual([
    { state: "serving", release },
  ]);
  expect(atWork()).toEqual({ programs: instances.map(startedFor), shims: instances.length });
  expect(await namesIn("run/instances")).toEqual(instances.map(({ key }) => key));

  const releases = (await namesIn("apps/shop/releases")).filter((name) => !name.startsWith(".staged-"));
  const kept = [...new Set([...app.served.slice(-3), release, app.previousRelease ?? release])];
  expect(releases.sort()).toEqual(kept.map((number) => `v${number}`).sort());
  const records = (await namesIn("state/releases/shop")).filter((name) => /^v\d+\.json$/.test(name));
  expect(records.sort()).toEqual(kept.map((number) => `v${number}.json`).sort());
  for (const directory of ["state/apps", "state/releases/shop", "state/deploys/shop"]) {
    expect((await namesIn(directory)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  }

  const { workers } = await (await maestro.client()).call("status", {});
  const sockets = (await namesIn("run/workers")).filter((name) => name.endsWith(".sock"));
  expect(sockets).toHaveLength(workers.length);
  return release;
}

/** The programs of apps of this home, whoever started them, and how many shims stand beside them. */
function atWork(): { programs: number[]; shims: number } {
  const here = listProcesses().filter(({ pid }) =>
    readLink(`${pid}/cwd`).startsWith(join(maestro.home, "apps")),
  );
  const shims = new Set(here.map(({ pid }) => pid).filter((pid) => nameOf(pid) === shimNameOf("shop")));
  const others = here.filter(({ pid }) => !shims.has(pid));
  // What a program has started itself is a part of it.
  const programs = others.filter(({ parent }) => !others.some(({ pid }) => pid === parent));
  return { programs: programs.map(({ pid }) => pid), shims: shims.size };
}

/** Whom the shim of an instance started: the app, or what leads to it. */
function startedFor({ key }: { key: string }): number {
  return Number(readFileSync(join(maestro.home, "run/instances", key, "process"), "utf8").split(" ")[0]);
}

function readLink(path: string): string {
  try {
    return readlinkSync(`/proc/${path}`);
  } catch {
    return ""; // ended meanwhile
  }
}

/** Until the registry has been saved nothing is decided; from then on everything is. */
const beforeDecision = ["check", "release", "start", "ready", "store"].flatMap((step) => [
  `${step}:began`,
  `${step}:done`,
]);
const afterDecision = ["save:done", "switch:began", "switch:done"];
const afterAnswer = ["drain", "stop", "sweep", "stage"].flatMap((step) => [`${step}:began`, `${step}:done`]);

describe("a controller that is killed in the middle of a deploy, at", () => {
  it.each([...beforeDecision, "save:began"])(
    "%s, leaves the release that served, and the deploy undone",
    async (point) => {
      const { release } = await registered();
      const { version: served } = await serves();
      expect(await deployCutAt(point)).toBe(false);
      expect(await expectOneWhole()).toBe(release);
      expect(await serves()).toMatchObject({ version: served });
      // Its record is the first thing that it leaves; before, there is nothing that could be undone.
      const leavesRecord = !["check:began", "check:done", "release:began"].includes(point);
      if (leavesRecord) expect(await lastDeploy()).toMatchObject({ outcome: "undone" });
    },
  );

  it.each(afterDecision)("%s, leaves the new release, and the deploy finished", async (point) => {
    const release = (await registered()).release ?? 0;
    await deployCutAt(point);
    expect(await expectOneWhole()).toBeGreaterThan(release);
    expect(await serves()).toMatchObject({ version: point });
    expect(await lastDeploy()).toMatchObject({ outcome: "finished" });
  });

  it.each(afterAnswer)("%s, leaves the new release; its caller may have been told", async (point) => {
    const release = (await registered()).release ?? 0;
    await deployCutAt(point);
    expect(await expectOneWhole()).toBeGreaterThan(release);
    expect(await serves()).toMatchObject({ version: point });
    expect(["done", "finished"]).toContain((await lastDeploy()).outcome);
  });

  it("and the next deploy goes on above every number that was ever given", async () => {
    const { release } = await lastDeploy();
    const report = await maestro.change("shop", version("after all"));
    expect(report.release).toBeGreaterThan(release ?? 0);
    await maestro.until("app.settled", (entry) => entry["release"] === report.release);
    expect(await expectOneWhole()).toBe(report.release);
  });
});
