import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deploy } from "../../sdk/deploy.ts";
import { fetchFrom } from "../support/load.ts";
import { TestMaestro } from "../support/maestro.ts";
import { project } from "../support/project.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--warm", "0", "--stream-drain", "0", "--request-drain", "1");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const page = async () => (await fetchFrom(maestro.httpPort, "site.localhost")).body;

describe("a tree that somebody began to send and did not finish", () => {
  it("is never put live: a restart gives fresh instances of what serves, and says so; before the first it fails", async () => {
    const client = await maestro.client();
    const { path } = await client.call("incoming", { app: "site", sending: true });
    await writeFile(join(path, "index.html"), "half");
    await expect(client.call("restart", { app: "site" })).rejects.toMatchObject({
      code: "NOTHING_TO_RUN",
      message: expect.stringMatching(/^what an admin \(loopback\) began to send for site at .* only in part/),
    });

    const directory = project({ "index.html": "whole" });
    await deploy({ client, directory, app: "site" });
    expect(await page()).toBe("whole");

    await client.call("incoming", { app: "site", sending: true });
    await writeFile(join(path, "index.html"), "half");
    // Also for the next controller.
    await maestro.end("SIGTERM");
    await maestro.serve();
    const report = await (await maestro.client()).call("restart", { app: "site" });
    expect(report).toMatchObject({ release: 1, notes: [expect.stringContaining("fresh instances of v1")] });
    expect(await page()).toBe("whole");

    await writeFile(join(directory, "index.html"), "whole again");
    expect(await deploy({ client: await maestro.client(), directory, app: "site" })).toMatchObject({
      release: 2,
      notes: [],
    });
    expect(await page()).toBe("whole again");
  });
});
