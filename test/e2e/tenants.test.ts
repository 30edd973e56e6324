import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reach } from "../../src/apprunner/canary/targets.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

const isRoot = process.getuid?.() === 0;

/* Two apps of people who do not trust each other, on one Maestro at the level of this machine. */

let maestro: TestMaestro;
let victimPort: number;
let victimPid: number;
beforeAll(async () => {
  maestro = await TestMaestro.start();
  const storage = JSON.stringify({ maestro: { storage: true }, env: { SECRET: "of-the-victim" } });
  const { instances } = await maestro.deploy("victim", fixture("tenant"), { "app.json": storage });
  victimPort = instances[0]?.port ?? 0;
  victimPid = instances[0]?.pid ?? 0;
  await maestro.deploy("attacker", fixture("tenant"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

type Outcome = { done?: unknown; refused?: string };

/** Has one of the apps do something. */
async function has(app: string, deed: string, words: Record<string, string | number> = {}): Promise<Outcome> {
  const query = new URLSearchParams(
    Object.entries(words).map(([name, value]): [string, string] => [name, String(value)]),
  );
  const { body } = await fetchFrom(maestro.httpPort, `${app}.test`, { path: `${deed}?${query}` });
  return JSON.parse(body);
}

const attacker = (deed: string, words?: Record<string, string | number>) => has("attacker", deed, words);

async function victimIsUnharmed(): Promise<void> {
  expect((await has("victim", "/")).done).toMatch(/^pid \d+$/);
  const [instance] = await (await maestro.client()).call("ps", { app: "victim" });
  expect(instance).toMatchObject({ pid: victimPid, state: "serving" });
}

const deathOf = async (name: string) =>
  (await (await maestro.client()).call("apps", {})).find(({ app }) => app === name)?.lastDeath;

describe.runIf(isRoot)("an app cannot", () => {
  it("read what is another's or Maestro's: releases, storage, logs, what was sent, the registry", async () => {
    await has("victim", "/store", { text: "private" });
    const { home } = maestro;
    const paths = [
      "apps/victim/releases/v1/server.js",
      "apps/victim/storage/note.txt",
      "apps/victim/incoming/server.js",
      "apps/victim/logs",
      "state/apps/victim.json",
      "run/maestro.sock",
    ];
    for (const path of paths) {
      expect(await attacker("/read", { path: join(home, path) })).toEqual({ refused: "ENOENT" });
    }
    expect(await readFile(join(home, "apps/victim/storage/note.txt"), "utf8")).toBe("private");
    await victimIsUnharmed();
  });

  it("see another's processes or environment", async () => {
    const { refused, done } = await attacker("/read", { path: `/proc/${victimPid}/environ` });
    expect(refused ?? done).not.toContain("of-the-victim");
    const { done: processes } = await attacker("/read", { path: "/proc/1/cmdline" });
    expect(processes).not.toContain("victim");
    await victimIsUnharmed();
  });

  it.each(["/app/planted.js", "/usr/bin/planted", "/etc/hosts", "/planted"])("write to %s", async (path) => {
    expect((await attacker("/write", { path })).refused).toMatch(/^E(ROFS|ACCES)$/);
  });

  it("reach another's port, Maestro's RPC, or its socket", async () => {
    const rpc = Number(maestro.rpc.split(":").pop());
    for (const host of ["127.0.0.1", "::1", "localhost"]) {
      for (const port of [victimPort, rpc]) {
        expect((await attacker("/connect", { host, port })).refused).toMatch(/^E(CONNREFUSED|TIMEDOUT)$/);
      }
    }
    const path = join(maestro.home, "run/maestro.sock");
    expect(await attacker("/connect", { path })).toEqual({ refused: "ENOENT" });
    await victimIsUnharmed();
  });

  it("get the traffic of another by taking its port in the moment in which it dies", async () => {
    const lurking = attacker("/lurk", { port: victimPort });
    // Those that are inside it when it dies are lost with it.
    const ask = () =>
      has("victim", "/").then(
        ({ done }) => String(done),
        () => "lost",
      );
    const requests = Array.from({ length: 30 }, ask);
    const died = maestro.until("instance.died", ({ app }) => app === "victim");
    process.kill(victimPid, "SIGKILL");
    await died;
    requests.push(...Array.from({ length: 30 }, ask));
    const texts = await Promise.all(requests);
    expect(texts.filter((text) => text !== "lost" && !text.startsWith("pid "))).toEqual([]);
    expect(await lurking).toEqual({ done: "it is mine" });
    expect(await reach(victimPort)).toBeNull();
    const [instance] = await (await maestro.client()).call("ps", { app: "victim" });
    expect(instance).toMatchObject({ state: "serving" });
    victimPid = instance?.pid ?? 0;
    victimPort = instance?.port ?? 0;
  });

  it("take more memory than it may: it is killed and started again, and told why with limit and peak", async () => {
    const client = await maestro.client();
    await client.call("limits", { app: "attacker", limits: { memory: "100M" } });
    const back = maestro.until("instance.died", ({ app }) => app === "attacker");
    await attacker("/eat", { mb: 200 }).catch(() => {});
    expect(await back).toMatchObject({ memory: { limit: 100 * 1024 ** 2 } });
    expect((await attacker("/")).done).toMatch(/^pid/);
    const death = await deathOf("attacker");
    expect(death).toMatchObject({ instance: "web.1", memory: { limit: 100 * 1024 ** 2 } });
    expect(death?.memory?.peak).toBeGreaterThan(60 * 1024 ** 2);
    await client.call("limits", { app: "attacker", limits: { memory: "none" } });
    await victimIsUnharmed();
  });

  it("start more processes than it may", async () => {
    await (await maestro.client()).call("limits", { app: "attacker", limits: { pids: 40 } });
    expect(await attacker("/fork", { n: 80 })).toEqual({ refused: "EAGAIN" });
    await victimIsUnharmed();
  });

  it("keep others from being served by being busy", async () => {
    await (await maestro.client()).call("limits", { app: "attacker", limits: { cpu: "20%" } });
    const spinning = attacker("/spin", { ms: 1500 });
    await victimIsUnharmed();
    await spinning;
  });
});

describe("a hostname that an app takes", () => {
  it("leads its neighbours to it only where it cannot be somebody else's", async () => {
    const taken = [
      "api.example.com",
      "metadata.google.internal",
      "localhost",
      "friend.test",
      "friend.localhost",
    ];
    const hostnames = JSON.stringify({ maestro: { hostnames: taken } });
    await maestro.change("attacker", { "app.json": hostnames });
    const { done } = await has("victim", "/read", { path: "/etc/hosts" });
    const names = String(done).match(/\S+$/gm);
    expect(names).toEqual(expect.arrayContaining(["friend.test", "friend.localhost"]));
    expect(names?.filter((name) => /example|internal/.test(name))).toEqual([]);
    expect(names?.filter((name) => name === "localhost")).toHaveLength(1);
  });
});

describe("an app can", () => {
  it("call another through the proxy, by hostname", async () => {
    const url = `http://victim.test:${maestro.httpPort}/`;
    expect(await attacker("/get", { url })).toEqual({ done: 200 });
  });

  it("keep files over a restart and a new release, if it asks for it", async () => {
    await has("victim", "/store", { text: "kept" });
    const { release } = await maestro.change("victim", { "new.txt": "another release" });
    expect(release).toBe(2);
    expect(await has("victim", "/store")).toEqual({ done: "kept" });
  });

  it("not be limited to less than it uses: that is refused, and nothing changes", async () => {
    const client = await maestro.client();
    await attacker("/eat", { mb: 40 });
    const before = await client.call("limits", { app: "attacker" });
    await expect(client.call("limits", { app: "attacker", limits: { memory: "16M" } })).rejects.toMatchObject(
      { code: "BAD_INPUT", message: expect.stringContaining("cannot be limited to 16M") },
    );
    expect(await client.call("limits", { app: "attacker" })).toEqual(before);
  });
});
