import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeployProgress } from "../../src/app/reports.ts";
import { fetchFrom } from "../support/load.ts";
import { repository, TestMaestro } from "../support/maestro.ts";
import { Orphan } from "../support/one-off.ts";
import { nodeProject } from "../support/project.ts";
import { runProgram } from "../support/sshd.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start(
    ...["--warm", "0", "--stream-drain", "0", "--request-drain", "1", "--build-timeout", "20"],
  );
  await maestro.send("shop", nodeProject());
  await (await maestro.client()).call("restart", { app: "shop" });
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

/** A build that says that it has begun, and leaves something behind that would go on by itself. */
async function beginEndless(orphan: Orphan) {
  const compile = `
    import { spawn } from "node:child_process";
    spawn("sh", ["-c", ${JSON.stringify(orphan.line)}]);
    console.log("for ever");
    setInterval(() => {}, 1000);
  `;
  await maestro.send("shop", nodeProject({ "compile.js": compile, "version.txt": "never" }));
  const begun = Promise.withResolvers<void>();
  const onProgress = ({ state, detail }: DeployProgress) =>
    void (state === "output" && detail === "for ever" && begun.resolve());
  const client = await maestro.client();
  const failure = client.call("restart", { app: "shop" }, { onProgress }).then(
    () => Promise.reject(new Error("it came about")),
    (error) => error,
  );
  await begun.promise;
  await orphan.started();
  return { failure };
}

const served = async () => JSON.parse((await fetchFrom(maestro.httpPort, "shop.localhost")).body);
const left = () =>
  readdirSync(join(maestro.home, "apps/shop/releases")).filter((name) => !/^(v1|\.staged-v\d+)$/.test(name));

describe("a build that does not end by itself", () => {
  it("is shown by `maestro builds`, and ended with all that it has started by `builds cancel`", async () => {
    const orphan = new Orphan();
    const { failure } = await beginEndless(orphan);
    const cli = (...words: string[]) =>
      runProgram(join(repository, "bin/maestro"), words, { env: { MAESTRO_SERVER: maestro.rpc }, cwd: "/" });
    const listed = await cli("builds");
    expect(listed.stdout).toMatch(/shop\s+deploy\s+build: Building: npm run build\s.*an admin \(loopback\)/);
    const [build] = await (await maestro.client()).call("builds", { app: "shop" });
    expect(build).toMatchObject({ app: "shop", step: "build", detail: "Building: npm run build" });

    const cancelled = await cli("builds", "cancel", build?.id ?? "");
    expect(cancelled).toMatchObject({ code: 0, stdout: expect.stringContaining("of shop is cancelled") });
    expect(await failure).toMatchObject({
      code: "BUILD_FAILED",
      message: "the deploy of shop was cancelled by an admin (loopback); what served goes on",
    });
    await orphan.gone();
    expect(left()).toEqual([]);
    expect(await served()).toMatchObject({ version: "first" });
    expect((await cli("builds")).stdout).toBe("Nothing is being built or deployed.\n");
    expect(await cli("builds", "cancel", "zzzzzzzz")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("no deploy zzzzzzzz is under way; under way is: nothing"),
    });
  });

  it("is ended when its time is over, and fails for that reason", async () => {
    const orphan = new Orphan();
    const { failure } = await beginEndless(orphan);
    expect(await failure).toMatchObject({
      code: "BUILD_FAILED",
      message:
        'shop could not be built: "Building: npm run build" did not end within 20 s (serve --build-timeout), and was ended',
    });
    await orphan.gone();
    expect(left()).toEqual([]);
    expect(await served()).toMatchObject({ version: "first" });
  });

  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
    "ends with a controller that %s ends, and leaves nothing",
    async (signal) => {
      const orphan = new Orphan();
      const { failure } = await beginEndless(orphan);
      await maestro.end(signal);
      await failure;
      await orphan.gone();
      const since = maestro.logLength;
      await maestro.serve();
      await maestro.until("maestro.settled", () => true, since);
      expect(left()).toEqual([]);
      expect(readdirSync(join(maestro.home, "run/instances")).filter((key) => key.includes("build"))).toEqual(
        [],
      );
      expect(await served()).toMatchObject({ version: "first" });
    },
  );
});
