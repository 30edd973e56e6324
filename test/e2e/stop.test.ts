import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { readProcess } from "../../src/lib/processes.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";

/** The command as people type it; where it fails, with what it wrote to standard error. */
async function maestroStop(...args: string[]): Promise<{ code: number; text: string }> {
  const { MAESTRO_SERVER: _, ...env } = process.env;
  const command = [join(repository, "bin/maestro.ts"), "stop", ...args];
  return promisify(execFile)(process.execPath, command, { env }).then(
    ({ stdout }) => ({ code: 0, text: stdout }),
    ({ code, stderr }) => ({ code, text: stderr }),
  );
}

async function withApp(): Promise<{ maestro: TestMaestro; pids: number[] }> {
  const maestro = await TestMaestro.start();
  const { instances } = await maestro.deploy("shop", fixture("traffic"));
  const { workers } = await (await maestro.client()).call("status", {});
  return { maestro, pids: [...instances, ...workers].map(({ pid }) => pid) };
}

describe("maestro stop", () => {
  it("ends what a controller that was killed has left running", async () => {
    const { maestro, pids } = await withApp();
    await using _maestro = maestro;
    await maestro.end("SIGKILL");
    expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
    const stopped = await maestroStop("--home", maestro.home);
    expect(stopped).toMatchObject({ code: 0 });
    expect(stopped.text).toMatch(/is ended: shop \(1 instance\) and \d+ proxy workers?\./);
    expect(pids.filter((pid) => readProcess(pid) !== null)).toEqual([]);
    expect(await readdir(join(maestro.home, "run/instances"))).toEqual([]);
    expect((await maestroStop("--home", maestro.home)).text).toContain("Nothing of Maestro runs on");
    await maestro.serve();
    expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
  });

  it("finds the controller by its home, wherever it listens", async () => {
    const { maestro, pids } = await withApp();
    await using _maestro = maestro;
    expect(await maestroStop("--home", maestro.home)).toMatchObject({
      code: 0,
      text: "Maestro ends, and with it shop.\n",
    });
    await maestro.ended();
    expect(pids.filter((pid) => readProcess(pid) !== null)).toEqual([]);
  });

  it("says so when nothing was ever there", async () => {
    const parent = await mkdtemp(join(tmpdir(), "maestro-stop-"));
    const { code, text } = await maestroStop("--home", join(parent, "none"));
    expect({ code, text }).toEqual({ code: 2, text: expect.stringContaining("no Maestro has run there") });
    expect(await readdir(parent)).toEqual([]);
    await rm(parent, { recursive: true });
  });
});
