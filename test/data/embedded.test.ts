import { once } from "node:events";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { basic, TestDatabase } from "../support/data.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await TestDatabase.start({ document: 10_000, attachment: 100_000, body: 200_000 });
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

let count = 0;
let db = "";
beforeEach(async () => {
  count += 1;
  db = `/db${count}`;
  expect((await database.ask("PUT", db)).status).toBe(201);
});

/** Sends bytes as they are, and gives all that comes back until the server ends the connection. */
async function raw(text: string): Promise<string> {
  const socket = connect(database.port, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    answer += chunk;
  });
  socket.write(text);
  await once(socket, "close");
  return answer;
}

describe("what a replicator of CouchDB's asks for", () => {
  const data = Buffer.from("attached text ".repeat(20));

  it("revisions come as multipart/mixed, a document with attachments as multipart/related in it", async () => {
    const _attachments = { "a.txt": { content_type: "text/plain", data: data.toString("base64") } };
    const { rev } = (await database.ask("PUT", `${db}/a`, { _attachments })).json();
    const query = `revs=true&latest=true&attachments=true&open_revs=${JSON.stringify([rev, "9-none"])}`;
    const answer = await database.ask("GET", `${db}/a?${query}`, undefined, { accept: "multipart/mixed" });
    expect(answer.headers.get("content-type")).toMatch(/^multipart\/mixed; boundary="/);
    expect(answer.text).toMatch(/Content-Type: multipart\/related; boundary="/);
    expect(answer.text).toContain('"follows":true');
    expect(answer.text).toContain(`Content-Length: ${data.length}\r\n\r\n${data}\r\n--`);
    expect(answer.text).toContain('Content-Type: application/json; error="true"\r\n\r\n{"missing":"9-none"}');
  });

  it("a document is written with its attachments as parts, compressed as CouchDB keeps them", async () => {
    const packed = gzipSync(data);
    const attachment = { content_type: "text/plain", follows: true, encoding: "gzip", length: data.length };
    const rev = `1-${"a".repeat(32)}`;
    const json = JSON.stringify({ _id: "b", _rev: rev, _attachments: { "b.txt": attachment } });
    const body = Buffer.concat([
      Buffer.from(`--xyz\r\ncontent-type: application/json\r\n\r\n${json}\r\n--xyz\r\n`),
      Buffer.from("content-encoding: gzip\r\n\r\n"),
      packed,
      Buffer.from("\r\n--xyz--"),
    ]);
    const written = await fetch(`http://127.0.0.1:${database.port}${db}/b?new_edits=false`, {
      method: "PUT",
      headers: {
        authorization: basic("maestro", database.password),
        "content-type": 'multipart/related; boundary="xyz"',
      },
      body,
    });
    expect(written.status).toBe(201);
    expect((await database.ask("GET", `${db}/b/b.txt`)).text).toBe(data.toString());
    expect((await database.ask("GET", `${db}/b`)).json()._rev).toBe(rev);
  });

  it("removes the old revisions of documents by itself, once many have been replaced", async () => {
    const ids = Array.from({ length: 500 }, (_, index) => `d${index}`);
    const write = async (revisions: Record<string, string>) => {
      const docs = ids.map((_id) => ({ _id, ...(revisions[_id] ? { _rev: revisions[_id] } : {}) }));
      const written = (await database.ask("POST", `${db}/_bulk_docs`, { docs })).json();
      return Object.fromEntries(written.map(({ id, rev }: { id: string; rev: string }) => [id, rev]));
    };
    const first = await write({});
    let latest = first;
    for (let round = 0; round < 10; round += 1) latest = await write(latest);
    const old = () => database.ask("GET", `${db}/d7?rev=${first["d7"]}`);
    await expect.poll(async () => (await old()).status, { timeout: 20_000 }).toBe(404);
    expect((await database.ask("GET", `${db}/d7`)).json()._rev).toBe(latest["d7"]);
  });

  it("says which revisions are missing, and gives many at once", async () => {
    const { rev } = (await database.ask("PUT", `${db}/a`, { n: 1 })).json();
    const diff = await database.ask("POST", `${db}/_revs_diff`, { a: [rev, "7-other"], b: ["1-x"] });
    expect(diff.json()).toMatchObject({ a: { missing: ["7-other"] }, b: { missing: ["1-x"] } });
    const docs = [
      { id: "a", rev },
      { id: "none", rev: "1-x" },
    ];
    const { results } = (await database.ask("POST", `${db}/_bulk_get?revs=true`, { docs })).json();
    expect(results[0].docs[0].ok).toMatchObject({ n: 1, _revisions: { start: 1 } });
    expect(results[1].docs[0].error).toMatchObject({ id: "none", error: "not_found" });
  });

  it("replicates both ways, with attachments and conflicts, continuously and once", async () => {
    await using other = await TestDatabase.start();
    await other.ask("PUT", db);
    const _attachments = { "a.bin": { content_type: "x/y", data: data.toString("base64") } };
    const { rev } = (await database.ask("PUT", `${db}/a`, { _attachments })).json();
    await other.ask("PUT", `${db}/a`, { n: "other" });
    const remote = `${other.url}${db}`;
    const push = await database.ask("POST", "/_replicate", { source: db.slice(1), target: remote });
    expect(push.json()).toMatchObject({ ok: true });
    const there = (await other.ask("GET", `${db}/a?conflicts=true`)).json();
    expect([there._rev, ...there._conflicts]).toContain(rev);
    expect((await other.ask("GET", `${db}/a/a.bin?rev=${rev}`)).text).toBe(data.toString());
    const pull = { source: remote, target: db.slice(1), continuous: true };
    expect((await database.ask("POST", "/_replicate", pull)).status).toBe(202);
    const waiting = database.ask(
      "GET",
      `${db}/_changes?feed=longpoll&since=now&doc_ids=["late"]&filter=_doc_ids`,
    );
    await other.ask("PUT", `${db}/late`, { n: 1 });
    expect((await waiting).json().results).toMatchObject([{ id: "late" }]);
    const [task] = (await database.ask("GET", "/_active_tasks")).json();
    expect(task).toMatchObject({ type: "replication", source: `http://127.0.0.1:${other.port}${db}` });
    expect(JSON.stringify(task)).not.toContain(other.password);
    expect((await database.ask("POST", "/_replicate", { ...pull, cancel: true })).status).toBe(200);
    expect((await database.ask("GET", "/_active_tasks")).json()).toEqual([]);
  });
});

describe("a feed of changes", () => {
  it("that polls long is answered by the next change, and empty when its time is over", async () => {
    const waiting = database.ask("GET", `${db}/_changes?feed=longpoll`);
    await database.ask("PUT", `${db}/a`, {});
    expect((await waiting).json()).toMatchObject({ results: [{ seq: 1, id: "a" }], last_seq: 1 });
    const late = await database.ask("GET", `${db}/_changes?feed=longpoll&since=1&timeout=50`);
    expect(late.json()).toEqual({ results: [], last_seq: 1, pending: 0 });
  });

  it("that goes on shows its head at once, beats while nothing happens, and ends with its limit", async () => {
    const leaving = new AbortController();
    const response = await fetch(
      `http://127.0.0.1:${database.port}${db}/_changes?feed=continuous&heartbeat=100&limit=2&include_docs=true`,
      { headers: { authorization: basic("maestro", database.password) }, signal: leaving.signal },
    );
    expect(response.status).toBe(200);
    const chunks = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await chunks?.read())?.value).toBe("\n");
    await database.ask("PUT", `${db}/a`, { n: 1 });
    await database.ask("PUT", `${db}/b`, { n: 2 });
    let text = "";
    for (let part = await chunks?.read(); part && !part.done; part = await chunks?.read()) text += part.value;
    const lines = text.split("\n").filter((line) => line !== "");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { seq: 1, id: "a", doc: { n: 1 } },
      { seq: 2, id: "b" },
      { last_seq: 2, pending: 0 },
    ]);
  });
});

describe("who may do what", () => {
  const as = (name: string, password: string) => ({ authorization: basic(name, password) });
  beforeEach(async () => {
    const _id = `org.couchdb.user:app${count}`;
    const user = { name: `app${count}`, type: "user", roles: [], password: "secret" };
    expect((await database.ask("PUT", `/_users/${_id}`, user)).status).toBe(201);
    const names = { names: [`app${count}`] };
    await database.ask("PUT", `${db}/_security`, { admins: names, members: names });
  });

  it("a user enters its own database and no other, makes none, and removes none", async () => {
    const mine = as(`app${count}`, "secret");
    expect((await database.ask("PUT", `${db}/a`, { n: 1 }, mine)).status).toBe(201);
    for (const path of [
      "/db1",
      "/db1/_all_docs",
      "/db1/_changes",
      "/_users/_all_docs",
      "/_users/org.couchdb.user:x",
    ]) {
      expect([401, 403], path).toContain((await database.ask("GET", path, undefined, mine)).status);
    }
    expect((await database.ask("PUT", "/mine", undefined, mine)).status).toBe(401);
    expect((await database.ask("DELETE", db, undefined, mine)).status).toBe(401);
    expect((await database.ask("POST", "/_replicate", { source: "db1", target: db }, mine)).status).toBe(401);
    expect((await database.ask("GET", db, undefined, as(`app${count}`, "wrong"))).status).toBe(401);
    expect((await database.ask("GET", db, undefined, { authorization: "" })).status).toBe(401);
  });

  it("a session is opened with a form or JSON, carries its user, and is refused when it was changed", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded", authorization: "" };
    const opened = await database.ask("POST", "/_session", `name=app${count}&password=secret`, form);
    expect(opened.json()).toMatchObject({ ok: true, name: `app${count}` });
    const cookie = opened.headers.get("set-cookie")?.split(";")[0] ?? "";
    const withCookie = { cookie, authorization: "" };
    expect((await database.ask("GET", "/_session", undefined, withCookie)).json().userCtx.name).toBe(
      `app${count}`,
    );
    expect((await database.ask("GET", db, undefined, withCookie)).status).toBe(200);
    const forged = Buffer.from(Buffer.from(cookie.slice(12), "base64url").toString().replace("app", "apq"));
    const stolen = { cookie: `AuthSession=${forged.toString("base64url")}`, authorization: "" };
    expect((await database.ask("GET", db, undefined, stolen)).status).toBe(401);
    expect(
      (await database.ask("POST", "/_session", { name: "x", password: "y" }, { authorization: "" })).status,
    ).toBe(401);
  });

  it("passwords are not kept", async () => {
    const user = (await database.ask("GET", `/_users/org.couchdb.user:app${count}`)).json();
    expect(user).toMatchObject({ name: `app${count}`, password_scheme: "pbkdf2" });
    expect(user.password).toBeUndefined();
  });
});

describe("functions of design documents", () => {
  const design = (fields: object) => database.ask("PUT", `${db}/_design/d`, fields);

  it("reach nothing of the process, and end when they take too long or too much", async () => {
    await database.ask("PUT", `${db}/a`, { n: 1 });
    const probe =
      "emit(typeof process + typeof require + typeof fetch + (function () { return this })().constructor.name)";
    await design({
      views: {
        escape: { map: `function (doc) { ${probe}; }` },
        outer: { map: "function (doc) { emit(emit.constructor('return typeof process')()); }" },
        endless: { map: "function (doc) { for (;;); }" },
        hungry: { map: "function (doc) { let a = []; for (;;) a.push(new Array(1e6).fill(1)); }" },
        whole: { map: "function (doc) { emit(doc.n); }" },
      },
    });
    const keys = async (view: string) => {
      const { rows } = (await database.ask("GET", `${db}/_design/d/_view/${view}`)).json();
      return rows.map(({ key }: { key: unknown }) => key);
    };
    expect(await keys("escape")).toEqual(["undefinedundefinedundefinedObject"]);
    expect(await keys("outer")).toEqual(["undefined"]);
    for (const view of ["endless", "hungry"]) {
      const answer = await database.ask("GET", `${db}/_design/d/_view/${view}`);
      expect([answer.status, answer.json().error], view).toEqual([500, "timeout"]);
    }
    expect(await keys("whole")).toEqual([1]);
  });

  it("validate what is written", async () => {
    const validate_doc_update =
      "function (doc, old, user) { if (!doc.type && !doc._deleted) throw { forbidden: 'a type, ' + user.name }; }";
    await design({ validate_doc_update });
    const refused = await database.ask("PUT", `${db}/a`, { n: 1 });
    expect([refused.status, refused.json()]).toEqual([
      403,
      { error: "forbidden", reason: "a type, maestro" },
    ]);
    const bulk = await database.ask("POST", `${db}/_bulk_docs`, {
      docs: [{ _id: "b" }, { _id: "c", type: "t" }],
    });
    expect(bulk.json()).toMatchObject([
      { id: "b", error: "forbidden" },
      { id: "c", ok: true },
    ]);
  });
});

describe("what is wrong is refused, in CouchDB's form, and the process lives", () => {
  it.each([
    ["POST", "/_bulk_docs", "{", 400, "bad_request"],
    ["POST", "/_bulk_docs", "null", 400, "bad_request"],
    ["POST", "/_bulk_docs", '{"docs":[null]}', 400, "bad_request"],
    ["POST", "/_bulk_docs", '{"docs":[{"_id":5}]}', 400, "bad_request"],
    ["PUT", "/a", "[]", 400, "bad_request"],
    ["PUT", "/a", '{"_rev":"nonsense"}', 400, "bad_request"],
    ["PUT", "/a", '{"_attachments":{"x":{"data":"!"}}}', 400, "bad_request"],
    ["PUT", "/a", '{"_attachments":{"x":{"stub":true}}}', 404, "not_found"],
    ["PUT", "/a", '{"__proto__":{"x":1}}', 400, "doc_validation"],
    ["PUT", "/%E0%A4%A", "{}", 400, "bad_request"],
    ["PUT", "/_nope", "{}", 501, "not_implemented"],
    ["GET", "/_all_docs?startkey={", undefined, 400, "query_parse_error"],
    ["GET", "/_all_docs?limit=-1", undefined, 400, "query_parse_error"],
    ["GET", "/_changes?since=nonsense", undefined, 400, "bad_request"],
    ["GET", "/_changes?feed=nonsense", undefined, 400, "bad_request"],
    ["GET", "/_changes?filter=a/b", undefined, 404, "not_found"],
    ["POST", "/_find", '{"selector":5}', 400, "bad_request"],
    ["POST", "/_find", '{"selector":{"a":{"$nonsense":1}}}', 400, "bad_request"],
    ["POST", "/_revs_diff", "[]", 400, "bad_request"],
    ["POST", "/_bulk_get", '{"docs":5}', 400, "bad_request"],
    ["GET", "/_design/none/_view/x", undefined, 404, "not_found"],
    ["GET", "/_design/none/_show/x", undefined, 501, "not_implemented"],
    ["POST", "/_purge", "{}", 501, "not_implemented"],
    ["PATCH", "/a", "{}", 405, "method_not_allowed"],
  ])("%s %s %s: %i", async (method, path, body, status, error) => {
    const answer = await database.ask(method, `${db}${path}`, body);
    expect([answer.status, answer.json().error]).toEqual([status, error]);
    expect(answer.json().reason).toEqual(expect.any(String));
  });

  it("answers 501 for what the server has not", async () => {
    for (const path of ["/_node/_local/_stats", "/_db_updates", "/_replicator", "/_scheduler/docs"]) {
      expect((await database.ask("GET", path)).status, path).toBe(501);
    }
  });

  it("documents, attachments and bodies have a size", async () => {
    expect((await database.ask("PUT", `${db}/a`, { text: "x".repeat(11_000) })).status).toBe(413);
    expect((await database.ask("PUT", `${db}/a`, { text: "x".repeat(300_000) })).status).toBe(413);
    expect((await database.ask("PUT", `${db}/a/b`, "x".repeat(100_001))).status).toBe(413);
    expect((await database.ask("PUT", `${db}/a/b`, "x".repeat(90_000))).status).toBe(201);
  });

  it("deep nesting, half a request, and no HTTP at all end no process", async () => {
    const nested = `{"a":${"[".repeat(90_000)}${"]".repeat(90_000)}}`;
    expect(
      (await database.ask("POST", `${db}/_bulk_docs`, `{"docs":[${nested}]}`)).status,
    ).toBeGreaterThanOrEqual(400);
    expect(await raw("nonsense\r\n\r\n")).toContain("400 Bad Request");
    const half = connect(database.port, "127.0.0.1");
    half.write("PUT /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    half.destroy();
    expect((await database.ask("GET", "/_up")).status).toBe(200);
    expect(database.hasEnded).toBe(false);
  });

  it("a flood of requests is answered", async () => {
    const flood = Array.from({ length: 500 }, (_, index) =>
      database.ask("PUT", `${db}/flood${index % 100}`, { index }),
    );
    const statuses = new Set((await Promise.all(flood)).map(({ status }) => status));
    expect([...statuses].sort()).toEqual([201, 409]);
    expect((await database.ask("GET", db)).json().doc_count).toBe(100);
  });
});
