import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--ready-timeout", "2", "--stop-grace", "2");
  await maestro.deploy("shop", fixture("traffic"), { "version.js": 'export const version = "good";\n' });
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const call = async (name: "restart", input: { app: string; hostname?: string; wait?: boolean }) =>
  (await maestro.client()).call(name, input);

/** Deploys `shop` with other code and expects it to fail; afterwards the good release must serve as before. */
async function refused(
  files: Record<string, string>,
  sabotage: () => Promise<void> = async () => {},
): Promise<{ code: string; message: string; details: object }> {
  const incoming = await maestro.send("shop", fixture("traffic"));
  await rm(incoming, { recursive: true });
  await mkdir(incoming);
  for (const [name, content] of Object.entries(files)) await writeFile(join(incoming, name), content);
  await sabotage();
  const error = await call("restart", { app: "shop" }).then(
    () => expect.fail("the deploy did not fail"),
    (failure: { code: string; message: string; details: object }) => failure,
  );
  const answer = await fetchFrom(maestro.httpPort, "shop.test");
  expect(JSON.parse(answer.body)).toMatchObject({ version: "good" });
  const instances = await (await maestro.client()).call("ps", { app: "shop" });
  expect(instances.filter(({ state }) => state === "serving")).toHaveLength(1);
  expect(instances.filter(({ state }) => state === "starting")).toHaveLength(0);
  return error;
}

describe("a deploy that fails says why, and the old release goes on serving", () => {
  it("when there is nothing to run", async () => {
    expect(await refused({ "readme.txt": "nothing here" })).toMatchObject({ code: "NOTHING_TO_RUN" });
  });

  it("when the app exits at once: with its code and last words", async () => {
    const error = await refused({ "app.js": 'console.error("no database, giving up"); process.exit(3);' });
    expect(error).toMatchObject({ code: "APP_EXITED", details: { exitCode: 3 } });
    expect(JSON.stringify(error.details)).toContain("no database, giving up");
  });

  it("when the app never listens", async () => {
    const error = await refused({ "app.js": 'console.log("thinking"); setInterval(() => {}, 1000);' });
    expect(error).toMatchObject({
      code: "APP_NOT_READY",
      details: { listensOn: [], lastLines: ["thinking"] },
    });
  });

  it("when the app listens elsewhere: with the port on which it does", async () => {
    const port = await freePort();
    const error = await refused({
      "app.js": `require("http").createServer().listen(${port}, "127.0.0.1")`,
    });
    expect(error).toMatchObject({ code: "APP_NOT_READY", details: { listensOn: [port] } });
    expect(error.message).toContain("PORT");
  });

  it("when the app answers 500", async () => {
    const error = await refused({
      "app.js":
        'require("http").createServer((q, s) => { s.statusCode = 500; s.end("x") }).listen(process.env.PORT)',
    });
    expect(error).toMatchObject({ code: "APP_NOT_READY", details: { lastStatus: 500 } });
  });

  it("when a process beside the web one exits at its start", async () => {
    const error = await refused({
      Procfile: "web: node slow.js\nworker: node worker.js\n",
      "slow.js":
        'setTimeout(() => require("http").createServer((q, s) => s.end()).listen(process.env.PORT), 500)',
      "worker.js": 'console.error("no queue"); process.exit(4);',
    });
    expect(error).toMatchObject({ code: "APP_EXITED", details: { instance: "worker.1", exitCode: 4 } });
    expect(JSON.stringify(error.details)).toContain("no queue");
  });

  it("when app.json does not parse", async () => {
    const error = await refused({ "app.json": "{ nonsense", "app.js": "" });
    expect(error).toMatchObject({ code: "BAD_INPUT" });
    expect(error.message).toContain("app.json");
  });

  it("when the disk will not take the release", async () => {
    const releases = join(maestro.home, "apps/shop/releases");
    const hidden = `${releases}.hidden`;
    // Root writes through modes: a file in the place of the directory refuses everybody.
    const sabotage = async () => {
      await rename(releases, hidden);
      await writeFile(releases, "");
    };
    try {
      const error = await refused({ "app.js": "fresh" }, sabotage);
      expect(error).toMatchObject({ code: "INTERNAL" });
      expect(error.message).toContain("releases");
    } finally {
      await rm(releases);
      await rename(hidden, releases);
    }
  });
});

describe("what is asked wrongly is refused before anything starts", () => {
  it.each([
    ["an unknown app", { app: "nobody" }, "APP_NOT_FOUND"],
    ["a bad name", { app: "../etc" }, "BAD_INPUT"],
    ["a bad hostname", { app: "shop", hostname: "not a name" }, "BAD_INPUT"],
  ])("%s", async (_, input, code) => {
    await expect(call("restart", input)).rejects.toMatchObject({ code });
  });

  it("a hostname that belongs to another app, and the other app keeps it", async () => {
    await maestro.send("thief", fixture("traffic"));
    await expect(call("restart", { app: "thief", hostname: "shop.test" })).rejects.toMatchObject({
      code: "HOSTNAME_TAKEN",
      details: { owner: "shop" },
    });
    expect(await readdir(join(maestro.home, "apps/thief/releases"))).toEqual([]);
    await expect(call("restart", { app: "thief", hostname: "thief.localhost" })).resolves.toMatchObject({
      release: 1,
    });
    await expect(
      (await maestro.client()).call("domains_add", { app: "shop", hostname: "thief.localhost" }),
    ).rejects.toMatchObject({ code: "HOSTNAME_TAKEN" });
  });
});

it("the default hostname of an app is not to be had when another app was given it", async () => {
  await (await maestro.client()).call("domains_add", { app: "shop", hostname: "late.localhost" });
  await expect(maestro.send("late", fixture("traffic"))).rejects.toMatchObject({ code: "HOSTNAME_TAKEN" });
  expect((await fetchFrom(maestro.httpPort, "late.localhost")).status).toBe(200);
});

describe("two restarts of one app at once", () => {
  it("the second is told BUSY and by whom, or waits when it says so", async () => {
    await maestro.send("shop", fixture("traffic"), { "version.js": 'export const version = "good";\n' });
    const results = await Promise.allSettled([
      call("restart", { app: "shop" }),
      call("restart", { app: "shop" }),
      call("restart", { app: "shop", wait: true }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(results[1]).toMatchObject({ reason: { code: "BUSY", details: { app: "shop" } } });
  });

  it("restarts of different apps run side by side", async () => {
    await maestro.send("left", fixture("traffic"));
    await maestro.send("right", fixture("traffic"));
    const both = await Promise.all([call("restart", { app: "left" }), call("restart", { app: "right" })]);
    expect(both.map(({ app }) => app)).toEqual(["left", "right"]);
  });
});
