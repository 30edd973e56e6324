import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { connect } from "../../sdk/client.ts";
import type { StatusReport } from "../../src/app/reports.ts";
import { readProcess } from "../../src/lib/processes.ts";
import { Installation } from "../support/installation.ts";
import { fetchFrom, Load } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let installed: Installation;
let maestro: TestMaestro;
beforeAll(async () => {
  installed = await Installation.create("1.0.0");
  maestro = await TestMaestro.startFrom(installed.directory);
  await maestro.deploy("shop", fixture("traffic"));
  await maestro.deploy("chat", fixture("websocket"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
  await installed[Symbol.asyncDispose]();
});

const status = async () => (await maestro.client()).call("status", {});
const workersOf = ({ workers }: StatusReport) =>
  workers.filter(({ leaving }) => leaving !== true).map(({ pid, version }) => ({ pid, version }));

/** Asks for a reload and waits until the next version is ready. */
async function reload() {
  const since = maestro.logLength;
  const report = await (await maestro.client()).call("reload", {});
  await maestro.until("maestro.ready", () => true, since);
  return report;
}

describe("a reload", () => {
  it("replaces workers and controller by the installed version, and nobody notices", async () => {
    const before = await status();
    const ps = await (await maestro.client()).call("ps", {});
    const socket = new WebSocket(`ws://127.0.0.1:${maestro.httpPort}/`, { headers: { host: "chat.test" } });
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    const load = new Load(maestro.httpPort, "shop.test", {
      clients: { "keep-alive": 2, close: 2, slow: 2, upload: 1 },
    });
    await load.more(20);

    await installed.install("1.1.0");
    expect(await reload()).toMatchObject({
      from: "1.0.0",
      to: "1.1.0",
      pid: maestro.pid,
      workers: before.workers.length,
    });
    await load.more(50);
    await reload();
    await load.more(50);
    await load.end();
    expect(load.failures).toEqual([]);

    const after = await status();
    expect(after).toMatchObject({ version: "1.1.0", pid: before.pid });
    expect(after.startedAt).not.toBe(before.startedAt);
    expect(workersOf(after).map(({ version }) => version)).toEqual(workersOf(before).map(() => "1.1.0"));
    const kept = new Set(workersOf(before).map(({ pid }) => pid));
    expect(workersOf(after).filter(({ pid }) => kept.has(pid))).toEqual([]);
    expect((await (await maestro.client()).call("ps", {})).map(({ pid }) => pid)).toEqual(
      ps.map(({ pid }) => pid),
    );

    const echo = new Promise((resolve) => socket.once("message", (data) => resolve(String(data))));
    socket.send("still here?");
    expect(await echo).toBe("still here?");
    const leaving = (await status()).workers.filter((worker) => worker.leaving === true);
    expect(leaving).toHaveLength(1); // It has the WebSocket, and goes with it.
    socket.terminate();
    await vi.waitFor(() => expect(leaving.map(({ pid }) => readProcess(pid))).toEqual([null]));
    expect(zombiesOf(maestro.pid)).toEqual([]);
  });

  it("is met by callers who are answered all the same, and whose deploys come about", async () => {
    let reloading = true;
    const caller = async (): Promise<number> => {
      let calls = 0;
      for (; reloading; calls += 1) {
        const client = await connect({ server: maestro.rpc });
        expect(await client.call("domains", { app: "shop" })).toMatchObject({ app: "shop" });
        client.close();
      }
      return calls;
    };
    const deployer = async (): Promise<number> => {
      let deploys = 0;
      const client = await connect({ server: maestro.rpc });
      for (; reloading; deploys += 1) await client.call("restart", { app: "shop", wait: true });
      client.close();
      return deploys;
    };
    const work = [caller(), deployer()];
    await reload();
    await reload();
    reloading = false;
    for (const done of await Promise.all(work)) expect(done).toBeGreaterThan(0);
    const history = await (await maestro.client()).call("ps", { app: "shop" });
    expect(history.filter(({ state }) => state === "serving")).toHaveLength(1);
  });
});

it("a signal in the middle of a reload is obeyed", async () => {
  await maestro.deploy("slow", fixture("traffic"));
  const since = maestro.logLength;
  // A deploy that takes its time keeps the reload waiting, longer than this test may take to get there.
  const slow = maestro.change("slow", {
    "server.js":
      'setTimeout(() => import("node:http").then((http) => http.createServer((q, s) => s.end()).listen(process.env.PORT)), 8000);',
  });
  await maestro.until("instance.started", (entry) => entry["app"] === "slow", since);
  await (await maestro.client()).call("reload", {});
  await maestro.until("maestro.ending", (entry) => entry["ending"] === "reload", since);
  slow.catch(() => {}); // Whether it comes about or is given up is open.
  expect(await maestro.end("SIGINT")).toBe(0);
  await expect(fetchFrom(maestro.httpPort, "shop.test")).rejects.toThrow("ECONNREFUSED");
  await maestro.serve();
});

describe("a reload that cannot come about leaves the old version as it was, and says why:", () => {
  let before: StatusReport;
  beforeEach(async () => {
    await installed.install("2.0.0");
    before = await status();
  });

  async function expectRefused(why: RegExp): Promise<void> {
    const error: Error = await (await maestro.client()).call("reload", {}).then(
      () => expect.fail("it came about"),
      (failure) => failure,
    );
    expect(error).toMatchObject({ code: "RELOAD_FAILED" });
    expect(error.message).toMatch(why);
    const after = await status();
    expect(after).toMatchObject({ version: before.version, pid: before.pid, startedAt: before.startedAt });
    expect(workersOf(after)).toEqual(workersOf(before));
    expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
  }

  it("the new version does not even load", async () => {
    await installed.install("2.0.0", { "src/control/restart.ts": "export const = ;" });
    await expectRefused(/version 1\.1\.0 goes on: .*Unexpected token/);
  });

  it("it is not there any more", async () => {
    await rm(join(installed.directory, "bin"), { recursive: true });
    await expectRefused(/no Maestro is installed at .*bin\/maestro any more/);
  });

  it("the settings have become wrong", async () => {
    const settings = join(maestro.home, "maestro.json");
    await writeFile(settings, JSON.stringify({ hold: "a while" }));
    await expectRefused(/the settings are wrong: .*hold/s);
    await rm(settings);
  });

  it("it does not understand a file of the registry", async () => {
    const path = join(maestro.home, "state/apps/later.json");
    await writeFile(path, JSON.stringify({ v: 9, name: "later" }));
    await expectRefused(/version 2\.0\.0 cannot take over: .*later\.json cannot be used/);
    await rm(path);
  });

  it("its proxy worker does not come up", async () => {
    await installed.install("2.0.0", { "src/proxy/worker.ts": 'throw new Error("born dead");' });
    await expectRefused(/a proxy worker of version 2\.0\.0 did not come up/);
  });
});

it("after a reload that failed, one that can comes about", async () => {
  await installed.install("2.0.1");
  expect(await reload()).toMatchObject({ from: "1.1.0", to: "2.0.1" });
  expect(await status()).toMatchObject({ version: "2.0.1", pid: maestro.pid });
});

it("a controller that is started in another version, or with other settings, renews the workers that it finds", async () => {
  const before = await status();
  await maestro.end("SIGKILL");
  await installed.install("2.1.0");
  const load = new Load(maestro.httpPort, "shop.test", { clients: { "keep-alive": 2, close: 2 } });
  const since = maestro.logLength;
  await maestro.serve();
  for (const { pid } of workersOf(before))
    await maestro.until("worker.leaving", (entry) => entry["pid"] === pid, since);
  await load.more(20);
  await load.end();
  expect(load.failures).toEqual([]);
  expect(workersOf(await status()).map(({ version }) => version)).toEqual(
    workersOf(before).map(() => "2.1.0"),
  );
});

/** Children that have ended and that nobody has asked how: those of a process that became another by execve(2). */
function zombiesOf(parent: number): string[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").split(" ");
  return children.filter((pid) => pid !== "" && readProcess(Number(pid)) === null);
}
