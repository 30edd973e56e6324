import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nanoClient } from "../support/couch-clients.ts";
import { TestEndpoint } from "../support/data-endpoint.ts";
import { failoverStory } from "../support/failover-story.ts";

const rounds = 20;

let endpoint: TestEndpoint;
beforeAll(async () => {
  endpoint = await TestEndpoint.start();
});
afterAll(async () => {
  await endpoint[Symbol.asyncDispose]();
});

describe("the endpoint", () => {
  it("makes an app's database at first use, and lets nobody else in", async () => {
    const shop = await endpoint.app("shop");
    const blog = await endpoint.app("blog");
    expect((await shop.ask("PUT", "/secret", { price: 1 })).status).toBe(201);
    expect((await blog.ask("GET", "")).status).toBe(200);
    for (const path of [
      "//shop",
      "//shop/secret",
      "//shop/_all_docs",
      "//_all_dbs",
      "//_users/_all_docs",
      "//_active_tasks",
    ]) {
      expect((await blog.ask("GET", path)).status, path).toBe(403);
    }
    for (const path of ["//blog/../shop/secret", "//blog/%2e%2e/shop/secret"]) {
      expect([400, 403, 404], path).toContain((await blog.ask("GET", path)).status);
      expect((await blog.ask("GET", path)).text).not.toContain("price");
    }
    expect((await blog.ask("POST", "//_replicate", { source: "shop", target: "blog" })).status).toBe(403);
    expect((await blog.ask("GET", "", undefined, { authorization: "Basic YmxvZzp3cm9uZw==" })).status).toBe(
      401,
    );
    expect((await blog.ask("GET", "/_design/x/_rewrite/y")).status).toBe(501);
  });

  it("serves nano with what stands in COUCHDB_URL, and sessions by cookie", async () => {
    const app = await endpoint.app("cookies");
    const { origin, username, password } = new URL(app.url);
    const server = origin.replace("//", `//${username}:${password}@`);
    const db = nanoClient(server, "cookies");
    const rev = await db.put({ _id: "a", n: 1 });
    expect(await db.get("a")).toEqual({ _id: "a", _rev: rev, n: 1 });
    const credentials = { name: "cookies", password: app.account.password };
    const opened = await app.ask("POST", "//_session", credentials, { authorization: "" });
    const cookie = opened.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect((await app.ask("GET", "/a", undefined, { authorization: "", cookie })).status).toBe(200);
    expect(
      (await app.ask("GET", "//_session", undefined, { authorization: "", cookie })).json().userCtx.name,
    ).toBe("cookies");
  });

  it("keeps credentials in files of mode 0600, and out of its output and command line", async () => {
    const app = await endpoint.app("quiet", { replicated: true });
    await app.ask("PUT", "/a", {});
    const file = join(endpoint.directory, "apps", "quiet.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const secrets = [app.account.password, endpoint.remote.password, endpoint.local.password];
    const report = JSON.stringify(await endpoint.report());
    for (const pid of [endpoint.pid, endpoint.local.pid]) {
      const visible =
        (await readFile(`/proc/${pid}/cmdline`, "utf8")) + (await readFile(`/proc/${pid}/environ`, "utf8"));
      for (const secret of secrets) expect(visible).not.toContain(secret);
    }
    for (const secret of secrets) {
      expect(report + endpoint.output + endpoint.local.output).not.toContain(secret);
    }
  });

  it("answers 503 with Retry-After while a database that has one home is away, and serves when it is back", async () => {
    const app = await endpoint.app("single");
    await app.ask("PUT", "/a", { n: 1 });
    await endpoint.local.kill();
    const away = await app.ask("GET", "/a");
    expect([away.status, away.json().error, away.headers.get("retry-after")]).toEqual([
      503,
      "service_unavailable",
      "1",
    ]);
    await endpoint.local.serve();
    expect((await app.ask("GET", "/a")).status).toBe(200);
  });
});

describe("failing over and coming back", () => {
  it("feeds go on at the other home: repeats are possible, omissions are not", async () => {
    const app = await endpoint.app("feeds", { replicated: true });
    await app.ask("GET", "");
    await endpoint.until(
      "feeds",
      ({ directions }) => directions.length === 2 && directions.every(({ state }) => state === "idle"),
    );
    const seen = new Set<string>();
    const poll = async (since: string): Promise<string> => {
      const page = (await app.ask("GET", `/_changes?since=${encodeURIComponent(since)}`)).json();
      for (const { id } of page.results) seen.add(id);
      return page.last_seq;
    };
    const write = async (id: string) => expect((await app.ask("PUT", `/${id}`, {})).status).toBe(201);
    for (const id of ["a", "b"]) await write(id);
    let since = await poll("0");
    expect(since).toBe("l~2");
    await endpoint.local.kill();
    await endpoint.until("feeds", ({ side }) => side === "remote");
    for (const id of ["c", "d"]) await write(id);
    since = await poll(since);
    expect(since).toMatch(/^r~/);
    for (const page of ["", "/_all_docs?update_seq=true", "/_all_docs?update_seq=true&limit=1"])
      expect((await app.ask("GET", page)).json().update_seq, page).toMatch(/^r~/);
    expect([...seen].sort()).toEqual(expect.arrayContaining(["c", "d"]));
    for (const query of ["filter=a/b", "Filter=a%2Fb", "heartbeat=1000;filter=a/b"])
      expect((await app.ask("GET", `/_changes?${query}`)).status, query).toBe(501);
    expect((await app.ask("GET", "/_changes?filter=_design")).status).toBe(200);
    await write("e");
    await endpoint.local.serve();
    await endpoint.until("feeds", ({ side }) => side === "local");
    await write("f");
    since = await poll(since);
    expect(since).toMatch(/^l~/);
    expect([...seen].sort()).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  it("pages of documents say with which home's sequence they are up to date, also long ones", async () => {
    const app = await endpoint.app("rows", { replicated: true });
    const text = 'x"rows"'.repeat(100);
    const docs = Array.from({ length: 200 }, (_, n) => ({ _id: `d${n}`, update_seq: n, text }));
    expect((await app.ask("POST", "/_bulk_docs", { docs })).status).toBe(201);
    const views = { all: { map: "function (doc) { emit(doc._id, doc.text); }" } };
    expect((await app.ask("PUT", "/_design/d", { views })).status).toBe(201);
    const all = (await app.ask("GET", "/_all_docs?include_docs=true&update_seq=true")).json();
    expect(all).toMatchObject({ update_seq: "l~201", total_rows: 201 });
    expect(all.rows.slice(1).map(({ doc }: { doc: object }) => doc)).toEqual(
      expect.arrayContaining(docs.map((document) => expect.objectContaining(document))),
    );
    const first = { update_seq: "l~201", rows: [{ key: "d0", value: text }] };
    const view = "/_design/d/_view/all";
    expect((await app.ask("POST", `${view}?update_seq=true`, { limit: 1 })).json()).toMatchObject(first);
    expect((await app.ask("POST", view, { limit: 1, update_seq: true })).json()).toMatchObject(first);
    const head = await app.ask("HEAD", "/_all_docs?limit=1&update_seq=true");
    expect(Number(head.headers.get("content-length"))).toBeGreaterThan(50);
    expect((await app.ask("GET", "")).json().update_seq).toBe("l~201"); // Of a database with the name that rows have.
  });

  it("is remembered by an endpoint that is killed in between", async () => {
    const app = await endpoint.app("reborn", { replicated: true });
    await app.ask("PUT", "/before", {});
    await endpoint.until(
      "reborn",
      ({ directions }) => directions.length === 2 && directions.every(({ state }) => state === "idle"),
    );
    await endpoint.local.kill();
    await endpoint.until("reborn", ({ side }) => side === "remote");
    expect((await app.ask("PUT", "/at-the-remote", {})).status).toBe(201);
    await endpoint.kill();
    await endpoint.serve();
    expect((await app.ask("GET", "/at-the-remote")).status).toBe(200);
    await endpoint.local.serve();
    await endpoint.until("reborn", ({ side }) => side === "local");
    expect((await app.ask("GET", "/at-the-remote")).status).toBe(200);
  });

  it("keeps what both homes wrote in the meantime as a conflict", async () => {
    const app = await endpoint.app("torn", { replicated: true });
    await app.ask("PUT", "/a", { by: "app" });
    await endpoint.until(
      "torn",
      ({ directions }) => directions.length === 2 && directions.every(({ state }) => state === "idle"),
    );
    await endpoint.remote.kill();
    const { _rev } = (await app.ask("GET", "/a")).json();
    await app.ask("PUT", "/a", { _rev, by: "local" });
    await endpoint.local.kill();
    await endpoint.remote.serve();
    await endpoint.until("torn", ({ side }) => side === "remote");
    expect((await app.ask("GET", "/a")).json().by).toBe("app"); // A stale read: the second home had not got it yet.
    expect((await app.ask("PUT", "/a", { _rev, by: "remote" })).status).toBe(201);
    await endpoint.local.serve();
    await endpoint.until("torn", ({ side }) => side === "local");
    const read = (await app.ask("GET", "/a?conflicts=true")).json();
    expect(read._conflicts).toHaveLength(1);
    const { databases } = await endpoint.report({ conflicts: true });
    expect(databases.find(({ app: name }) => name === "torn")?.conflicts).toBe(1);
  });

  it(`loses nothing that was acknowledged, in ${rounds} rounds with random moments`, {
    timeout: rounds * 30_000,
  }, async () => {
    const app = await endpoint.app("story", { replicated: true });
    const { acknowledged, lost } = await failoverStory(endpoint, app, rounds);
    expect(acknowledged).toBeGreaterThan(50 * rounds);
    expect(lost).toEqual({ local: [], remote: [] });
  });
});
