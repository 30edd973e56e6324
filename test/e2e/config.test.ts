import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";

const secret = "correct-horse-battery-staple";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--stop-grace", "2", "--ready-timeout", "10");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

const client = () => maestro.client();
const set = async (app: string, values: Record<string, string>) =>
  (await client()).call("config_set", { app, set: values });
const environmentOf = async (app: string): Promise<Record<string, string>> =>
  JSON.parse((await fetchFrom(maestro.httpPort, `${app}.test`)).body);

/** Every file below a directory that holds a text. */
async function filesWith(text: string, directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  const found = await Promise.all(
    paths.map(async (path) => ((await readFile(path, "latin1")).includes(text) ? [path] : [])),
  );
  return found.flat();
}

/** What everybody on this machine can read of the processes: their command lines. */
const commandLines = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return ""; // ended meanwhile
      }
    });

describe("a variable that is set", () => {
  it("is in the environment of fresh instances of the same code, above app.json and below Maestro's own", async () => {
    await maestro.deploy("shop", fixture("environment"));
    // Code that was sent and not deployed is not what a change of the config puts live.
    await maestro.write("shop", { "app.js": "process.exit(1)" });
    const report = await set("shop", { GREETING: 'it\'s\n"$HOME" `id`', SECRET: secret });
    expect(report).toMatchObject({ config: 1, changed: ["GREETING", "SECRET"], deploy: { release: 2 } });
    expect(await environmentOf("shop")).toMatchObject({
      GREETING: 'it\'s\n"$HOME" `id`',
      SECRET: secret,
      COLOUR: "green",
      MAESTRO_RELEASE: "v2",
    });
    await maestro.send("shop", fixture("environment"));
  });

  it("is told with its value to whoever asks for it", async () => {
    const { values, config } = await (await client()).call("config", { app: "shop" });
    expect({ config, secret: values["SECRET"] }).toEqual({ config: 1, secret });
  });

  it("is on disk in a file that only Maestro's user reads, and nowhere else", async () => {
    const path = join(maestro.home, "state/config/shop/c1.json");
    expect(await filesWith(secret, maestro.home)).toEqual([path]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(maestro.home, "state"))).mode & 0o777).toBe(0o700);
    expect(maestro.logText()).not.toContain(secret);
    expect(commandLines().filter((line) => line.includes(secret))).toEqual([]);
  });

  it("is in the environment of one-off programs, too", async () => {
    const command = [join(repository, "bin/maestro.ts"), "run", "shop", "printenv", "SECRET"];
    const env = { ...process.env, MAESTRO_SERVER: maestro.rpc };
    const { stdout } = await promisify(execFile)(process.execPath, command, { env });
    expect(stdout).toBe(`${secret}\n`);
  });

  it("stays in force for the next code, and over the end of a controller", async () => {
    const { release } = await maestro.change("shop", { "more.txt": "more" });
    expect(release).toBe(3);
    expect(await environmentOf("shop")).toMatchObject({ SECRET: secret, MAESTRO_RELEASE: "v3" });
    await maestro.end("SIGKILL");
    await maestro.serve();
    const [{ pid } = { pid: 0 }] = await (await client()).call("ps", { app: "shop" });
    process.kill(pid, "SIGKILL");
    await maestro.until("instance.died", (entry) => entry["app"] === "shop");
    expect(await environmentOf("shop")).toMatchObject({ SECRET: secret, MAESTRO_RELEASE: "v3" });
  });

  it("that has the value already changes nothing and restarts nothing", async () => {
    const serving = async () =>
      (await (await client()).call("ps", { app: "shop" }))
        .filter(({ state }) => state === "serving")
        .map(({ key, pid }) => ({ key, pid }));
    const before = await serving();
    expect(await set("shop", { SECRET: secret })).toEqual({
      app: "shop",
      config: 1,
      changed: [],
      deploy: null,
    });
    expect(await serving()).toEqual(before);
  });

  it("can be unset: app.json's default is then in force again", async () => {
    const report = await (await client()).call("config_unset", { app: "shop", names: ["GREETING"] });
    expect(report).toMatchObject({ config: 2, changed: ["GREETING"], deploy: { release: 4 } });
    expect(await environmentOf("shop")).toMatchObject({ GREETING: "from app.json", SECRET: secret });
    await expect(
      (await client()).call("config_unset", { app: "shop", names: ["NOTHING"] }),
    ).rejects.toMatchObject({ code: "BAD_INPUT", message: "NOTHING is not set for shop; set are: SECRET" });
  });
});

describe("a config with which the app does not start", () => {
  it("is refused with the app's last words, and what was before goes on in every respect", async () => {
    const failure = await set("shop", { BROKEN: secret.toUpperCase() }).catch((error) => error);
    expect(failure).toMatchObject({ code: "APP_EXITED", details: { exitCode: 9 } });
    expect(JSON.stringify(failure)).toContain("this configuration is broken");
    expect(await environmentOf("shop")).toMatchObject({ MAESTRO_RELEASE: "v4" });
    const { values } = await (await client()).call("config", { app: "shop" });
    expect(values).not.toHaveProperty("BROKEN");
    expect(await filesWith(secret.toUpperCase(), maestro.home)).toEqual([]);
    expect(JSON.stringify(failure) + maestro.logText()).not.toContain(secret.toUpperCase());
  });

  it("is in the history as one of the config, failed", async () => {
    const { deploys } = await (await client()).call("releases", { app: "shop" });
    expect(deploys[0]).toMatchObject({ what: "config", outcome: "failed", error: { code: "APP_EXITED" } });
  });
});

describe("where nothing serves", () => {
  it("the config of an app that is new waits for its first deploy", async () => {
    const later = await set("fresh", { SECRET: secret });
    expect(later).toEqual({ app: "fresh", config: 1, changed: ["SECRET"], deploy: null });
    await maestro.deploy("fresh", fixture("environment"));
    expect(await environmentOf("fresh")).toMatchObject({ SECRET: secret, MAESTRO_RELEASE: "v1" });
  });

  it("the config of an app that was stopped waits for its next restart, which makes a release for it", async () => {
    await (await client()).call("stop", { app: "fresh" });
    expect(await set("fresh", { SECRET: "other" })).toMatchObject({ config: 2, deploy: null });
    expect((await fetchFrom(maestro.httpPort, "fresh.test")).status).toBe(503);
    expect(await (await client()).call("restart", { app: "fresh" })).toMatchObject({ release: 2 });
    expect(await environmentOf("fresh")).toMatchObject({ SECRET: "other" });
  });

  it("the config goes with the app that is removed", async () => {
    await (await client()).call("remove", { app: "fresh" });
    expect(await readdir(join(maestro.home, "state/config"))).toEqual(["shop"]);
  });
});

describe("what is asked wrongly", () => {
  it.each([
    ["a reserved name", { PORT: "80" }],
    ["a bad name", { "a b": "x" }],
    ["a NUL character", { A: "\0" }],
    ["nothing", {}],
  ])("%s is refused, and no app is made of it", async (_, values) => {
    await expect(set("nobody", values)).rejects.toMatchObject({ code: "BAD_INPUT" });
    const apps = await (await client()).call("apps", {});
    expect(apps.map(({ app }) => app)).not.toContain("nobody");
  });

  it("an app that nobody knows has no config to be shown or unset", async () => {
    await expect((await client()).call("config", { app: "nobody" })).rejects.toMatchObject({
      code: "APP_NOT_FOUND",
    });
    await expect(
      (await client()).call("config_unset", { app: "nobody", names: ["A"] }),
    ).rejects.toMatchObject({ code: "APP_NOT_FOUND" });
  });

  it("an app does not start without a config that was damaged", async () => {
    const path = join(maestro.home, "state/config/shop/c2.json");
    const before = await readFile(path, "utf8");
    await writeFile(path, before.slice(0, 30));
    await expect((await client()).call("restart", { app: "shop" })).rejects.toMatchObject({
      code: "INTERNAL",
    });
    expect(await environmentOf("shop")).toMatchObject({ SECRET: secret });
    await writeFile(path, before);
  });
});
