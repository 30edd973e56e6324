import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { lockHolder } from "../../src/lib/lock-file.ts";
import { readProcess } from "../../src/lib/processes.ts";
import { TestDatabase } from "../support/data.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--couch", "embedded");
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

/** An app that counts its visits in its database. */
const counter = `
  import { createServer } from "node:http";
  const { origin, pathname, username, password } = new URL(process.env.COUCHDB_URL);
  const headers = { authorization: "Basic " + btoa(username + ":" + password) };
  createServer(async (request, response) => {
    if (request.url === "/url") return response.end(process.env.COUCHDB_URL);
    if (request.url === "/") return response.end("ready");
    try {
      const written = await fetch(origin + pathname, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: "{}",
      });
      const { doc_count } = await (await fetch(origin + pathname, { headers })).json();
      response.end(written.status + " " + doc_count);
    } catch (error) {
      response.end(String(error.cause ?? error));
    }
  }).listen(process.env.PORT);
`;
const visit = async (app: string, path = "/visit") =>
  (await fetchFrom(maestro.httpPort, `${app}.test`, { path })).body;

const pidOf = async (name: string): Promise<number> =>
  (await lockHolder(join(maestro.home, `run/data/${name}.lock`)))?.pid ?? expect.fail(`no ${name} runs`);

describe("an app", () => {
  it("finds its database in COUCHDB_URL, and keeps it over restarts", async () => {
    await maestro.deploy("counter", fixture("traffic"), { "server.js": counter });
    const url = await visit("counter", "/url");
    expect(url).toMatch(/^http:\/\/counter:[\w-]{43}@127\.0\.0\.1:\d+\/counter$/);
    await vi.waitFor(async () => expect(await visit("counter")).toBe("201 1"), { timeout: 20_000 });
    await maestro.change("counter", { "version.js": 'export const version = "two";' });
    expect(await visit("counter")).toBe("201 2");
    expect(await visit("counter", "/url")).toBe(url);
  });

  it("has credentials that only Maestro can read, and that no command line and no log shows", async () => {
    const password = new URL(await visit("counter", "/url")).password;
    const file = join(maestro.home, "state/data/apps/counter.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const pids = [maestro.pid, await pidOf("server"), await pidOf("endpoint")];
    for (const pid of pids) expect(await readFile(`/proc/${pid}/cmdline`, "utf8")).not.toContain(password);
    expect(maestro.logText()).not.toContain(password);
  });
});

describe("the processes of the databases", () => {
  it("are started again when they are killed, each without the other", async () => {
    const [server, endpoint] = [await pidOf("server"), await pidOf("endpoint")];
    const since = maestro.logLength;
    process.kill(server, "SIGKILL");
    await maestro.until("data-server.started", () => true, since);
    expect(readProcess(endpoint)).not.toBeNull();
    await vi.waitFor(async () => expect(await visit("counter")).toBe("201 3"), { timeout: 20_000 });
    process.kill(endpoint, "SIGKILL");
    await maestro.until("data-endpoint.started", () => true, since);
    expect(await pidOf("server")).not.toBe(server);
    expect(await visit("counter")).toBe("201 4");
  });

  it("go on without a controller, and the next one takes them over", async () => {
    const pids = [await pidOf("server"), await pidOf("endpoint")];
    await maestro.end("SIGKILL");
    expect(await visit("counter")).toBe("201 5");
    const since = maestro.logLength;
    await maestro.serve();
    await maestro.until("data-server.adopted", () => true, since);
    await maestro.until("data-endpoint.adopted", () => true, since);
    expect([await pidOf("server"), await pidOf("endpoint")]).toEqual(pids);
    expect(await visit("counter")).toBe("201 6");
  });

  it("end with all of Maestro", async () => {
    const pids = [await pidOf("server"), await pidOf("endpoint")];
    await maestro.end("SIGINT");
    expect(pids.map(readProcess)).toEqual([null, null]);
    await maestro.serve();
  });
});

describe("a database that fails over and comes back", () => {
  it("is told of in the log, the audit and the status, once", async () => {
    await using second = await TestDatabase.start();
    const client = await maestro.client();
    await client.call("data_replicate", { app: "counter", to: second.url });
    const status = async () => (await client.call("data_status", { app: "counter" })).databases[0];
    const isIdle = (state: string) => state === "idle";
    await vi.waitFor(
      async () =>
        expect((await status())?.directions.map(({ state }) => isIdle(state))).toEqual([true, true]),
      { timeout: 20_000 },
    );
    const since = maestro.logLength;
    const server = await pidOf("server");
    process.kill(server, "SIGSTOP");
    await maestro.until("data.failed-over", () => true, since);
    expect((await client.call("status", {})).databasesAway).toMatchObject([{ app: "counter" }]);
    expect(await visit("counter")).toMatch(/^201 /);
    process.kill(server, "SIGKILL");
    await maestro.until("data.came-back", () => true, since);
    expect((await client.call("status", {})).databasesAway).toEqual([]);
    await vi.waitFor(async () => {
      const entries = await client.call("audit", { app: "counter", entries: 100 });
      const moves = entries
        .filter(({ by }) => by === "maestro")
        .map(({ did, outcome }) => `${did} ${outcome}`);
      expect(moves).toEqual(["fail-over done", "come-back done"]);
    });
    const events = (await status())?.events.map(({ event }) => event);
    expect(events).toEqual(["failed over", "came back"]);
    expect(maestro.logText() + JSON.stringify(await status())).not.toContain(second.password);
    await client.call("data_replicate", { app: "counter", to: null });
    expect((await status())?.remote).toBeNull();
  });
});

describe("an app that is removed", () => {
  it("keeps its database, unless its data is to go too", async () => {
    await maestro.deploy("gone", fixture("traffic"), { "server.js": counter });
    await vi.waitFor(async () => expect(await visit("gone")).toBe("201 1"), { timeout: 20_000 });
    const client = await maestro.client();
    await client.call("remove", { app: "gone" });
    await maestro.deploy("gone", fixture("traffic"), { "server.js": counter });
    expect(await visit("gone")).toBe("201 2");
    const { removed } = await client.call("remove", { app: "gone", data: true });
    expect(removed).toContain("its database");
    await maestro.deploy("gone", fixture("traffic"), { "server.js": counter });
    expect(await visit("gone")).toBe("201 1");
  });
});
