import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adopt } from "../../src/apprunner/adopt.ts";
import { poll } from "../../src/lib/poll.ts";
import { readProcess } from "../../src/lib/processes.ts";
import { Place } from "../support/apprunner.ts";
import { nameOf, processesOf, shimNameOf } from "../support/chaos-processes.ts";

const pauses = { first: 5, most: 50 };
const soon = () => ({ signal: AbortSignal.timeout(30_000) });

/** The shell that waits for the next instance of a place: it has entered no release yet. */
const spareOf = ({ host }: Place) =>
  poll(
    () => processesOf(`-s maestro-${host.id}`).find(({ pid }) => workingDirectory(pid) === "/")?.pid ?? null,
    pauses,
    soon(),
  );
const workingDirectory = (pid: number) => readlinkSync(`/proc/${pid}/cwd`);
const gone = (pid: number) => poll(() => (readProcess(pid) === null ? true : null), pauses, soon());

/** That it is the same is seen by its session. */
const sessionOf = (pid: number) => readProcess(pid)?.session ?? null;
const shimOf = ({ pid }: { pid: number }) => readProcess(pid)?.parent ?? 0;

describe("a shim that is started ahead", () => {
  it("becomes the one of the next instance, under the name of its app", async () => {
    await using place = await Place.create();
    await place.launch(await place.spec());
    const spare = await spareOf(place);
    const session = sessionOf(spare);
    const next = await place.launch(await place.spec());
    expect(session).not.toBeNull();
    expect(sessionOf(shimOf(next))).toBe(session);
    expect(nameOf(shimOf(next))).toBe(shimNameOf("hello"));
  });

  it.each(["a", "shop", "hello", "marketing"])("has a name of one line for %s", async (app) => {
    await using place = await Place.create();
    const instance = await place.launch(await place.spec({ app }));
    expect(readFileSync(`/proc/${shimOf(instance)}/comm`, "utf8")).toBe(`${shimNameOf(app)}\n`);
  });

  it("may be killed", async () => {
    await using place = await Place.create();
    await place.launch(await place.spec());
    const spare = await spareOf(place);
    process.kill(spare, "SIGKILL");
    await gone(spare);
    const next = await place.launch(await place.spec({ start: { kind: "line", line: "exit 3" } }));
    expect(await next.exited).toEqual({ code: 3, signal: null });
  });

  it.each(["SIGTERM", "SIGKILL"] as const)("ends with its controller at %s", async (signal) => {
    await using place = await Place.create();
    const spec = await place.spec();
    const words = JSON.stringify({ home: place.home, spec, level: "process" });
    const script = join(import.meta.dirname, "controller.fixture.ts");
    const controller = spawn(process.execPath, [script, words], { stdio: ["ignore", "pipe", "inherit"] });
    await once(controller.stdout, "data");
    const spare = await spareOf(place);
    controller.kill(signal);
    await gone(spare);
    const instance = await adopt(spec.runDirectory, place.host.cgroups);
    if (instance === null || "ended" in instance) throw new Error("the instance has ended as well");
    place.keep(instance);
  });

  it("leaves nothing of an instance that has not been let go on", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ output: { stdout: place.home, stderr: place.home } }); // directories
    await expect(place.launch(spec)).rejects.toThrow("EISDIR");
    await poll(() => (processesOf(spec.runDirectory).length === 0 ? true : null), pauses, soon());
  });
});
