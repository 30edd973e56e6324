import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LaunchSpec, RunningInstance } from "../../src/app/instance.ts";
import { adopt } from "../../src/apprunner/adopt.ts";
import { stop } from "../../src/apprunner/stop.ts";
import { poll } from "../../src/lib/poll.ts";
import { isAlive, startedAt } from "../../src/lib/processes.ts";
import { lineIn, Place } from "../support/apprunner.ts";

/** Has another process start an instance, and kills that process. */
async function launchByAnother(place: Place, spec: LaunchSpec): Promise<void> {
  const words = [
    join(import.meta.dirname, "controller.fixture.ts"),
    JSON.stringify({ spec, home: place.home, level: place.host.sandbox.level }),
  ];
  const controller = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  await once(controller.stdout, "data");
  controller.kill("SIGKILL");
  await once(controller, "exit");
  await settled(spec);
}

/** The shim makes its FIFO when nobody waits for the app any more. */
async function settled({ runDirectory }: LaunchSpec): Promise<void> {
  const isThere = () => (existsSync(join(runDirectory, "alive")) ? true : null);
  await poll(isThere, { first: 5, most: 50 }, { signal: AbortSignal.timeout(30_000) });
}

/** Adopts what must still be running. */
async function adoptRunning(place: Place, spec: LaunchSpec): Promise<RunningInstance> {
  const found = await adopt(spec.runDirectory, place.host.cgroups);
  if (found === null || "ended" in found) throw new Error("it is not running");
  return place.keep(found);
}

describe("an instance whose controller was killed", () => {
  it("goes on, is taken over by the next one, and its end is seen", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "node", file: "finishes.js" } });
    await launchByAnother(place, spec);
    await lineIn(spec.output.stdout, /^up$/);
    const instance = await adoptRunning(place, spec);
    expect(instance).toMatchObject({
      key: spec.key,
      record: { app: "hello", id: "web.1", release: 3, port: spec.port },
    });
    expect(isAlive(instance)).toBe(true);
    expect(Math.abs(Date.parse(startedAt(instance)) - Date.now())).toBeLessThan(3_600_000);
    expect(await stop(instance, { graceMs: 60_000 })).toEqual({ code: 7, signal: null });
  });

  it("leaves its exit code when it ends before the next one comes", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "node", file: "finishes.js" } });
    await launchByAnother(place, spec);
    await lineIn(spec.output.stdout, /^up$/);
    const instance = await adoptRunning(place, spec);
    process.kill(instance.pid, "SIGTERM");
    await instance.exited;
    expect(await adopt(spec.runDirectory, place.host.cgroups)).toMatchObject({
      ended: { code: 7, signal: null },
      record: { key: spec.key },
    });
  });
});

describe("a run directory", () => {
  /** The run directory of an instance that runs. */
  async function running(place: Place): Promise<string> {
    const spec = await place.spec();
    await place.launch(spec);
    await settled(spec);
    return spec.runDirectory;
  }

  it("that is not there, or empty, is nobody's", async () => {
    await using place = await Place.create();
    expect(await adopt(join(place.home, "nobody"), place.host.cgroups)).toBeNull();
    await mkdir(join(place.home, "empty"));
    expect(await adopt(join(place.home, "empty"), place.host.cgroups)).toBeNull();
  });

  it.each(["", "{", "[]", '{"v":2}', "\0\0\0"])("whose record holds %j is nobody's", async (text) => {
    await using place = await Place.create();
    const directory = await running(place);
    await writeFile(join(directory, "instance.json"), text);
    expect(await adopt(directory, place.host.cgroups)).toBeNull();
  });

  it.each(["", "12", "1 1\n", "0 5\n", "-1 5\n", "x y\n", "99999999 5\n"])(
    "whose process is %j speaks of an instance that has ended",
    async (text) => {
      await using place = await Place.create();
      const directory = await running(place);
      await writeFile(join(directory, "process"), text);
      await rm(join(directory, "alive"));
      expect(await adopt(directory, place.host.cgroups)).toMatchObject({
        ended: { code: null, signal: null },
      });
    },
  );

  it("of another boot speaks of an instance that has ended", async () => {
    await using place = await Place.create();
    const directory = await running(place);
    const path = join(directory, "instance.json");
    const record = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...record, bootId: "another" }));
    expect(await adopt(directory, place.host.cgroups)).toMatchObject({ ended: { code: null, signal: null } });
  });

  it("that names a process of another start time does not make that process ours", async () => {
    await using place = await Place.create();
    const directory = await running(place);
    await writeFile(join(directory, "process"), `${process.pid} 1\n`);
    await rm(join(directory, "alive"));
    expect(await adopt(directory, place.host.cgroups)).toMatchObject({ ended: { code: null, signal: null } });
  });

  it("with a file in place of the FIFO still tells when the process ends", async () => {
    await using place = await Place.create();
    const directory = await running(place);
    await rm(join(directory, "alive"));
    await writeFile(join(directory, "alive"), "edited");
    const found = await adopt(directory, place.host.cgroups);
    if (found === null || "ended" in found) throw new Error("it is not running");
    process.kill(found.pid, "SIGKILL");
    expect(await found.exited).toMatchObject({ code: null });
  });
});
