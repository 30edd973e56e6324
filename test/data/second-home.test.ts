import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { TestEndpoint } from "../support/data-endpoint.ts";
import { TroubledRemote } from "../support/troubled-remote.ts";

let endpoint: TestEndpoint;
let remote: TroubledRemote;
beforeAll(async () => {
  endpoint = await TestEndpoint.start();
  remote = await TroubledRemote.before(endpoint.remote);
});
afterEach(() => remote.end());
afterAll(async () => {
  await remote[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

async function replicated(name: string) {
  const app = await endpoint.app(name, { replicated: true, remote: remote.url(name) });
  await app.ask("GET", "");
  await endpoint.idle(name);
  return app;
}

const write = async (app: Awaited<ReturnType<typeof replicated>>, from: number, to: number) => {
  for (let n = from; n < to; n += 1) {
    const { status, text } = await app.ask("PUT", `/n${n}`, { n });
    expect([status, text]).toEqual([201, expect.any(String)]);
  }
};
const countThere = async (name: string): Promise<number> =>
  (await endpoint.remote.ask("GET", `/${name}`)).json().doc_count;
const arrives = (name: string, count: number) =>
  vi.waitFor(async () => expect(await countThere(name)).toBeGreaterThanOrEqual(count), {
    timeout: 20_000,
    interval: 50,
  });
const secretsIn = (text: string) =>
  [endpoint.remote.password, "wrong-password"].filter((s) => text.includes(s));

describe("replication", () => {
  it("notes how far it has come now and then, not after every change", async () => {
    const app = await replicated("notes");
    const before = remote.seen.length;
    await write(app, 0, 200);
    await arrives("notes", 200);
    const notes = remote.seen.slice(before).filter((seen) => /^PUT .*\/_local\//.test(seen));
    expect(notes.length).toBeGreaterThan(0);
    expect(notes.length).toBeLessThan(100);
  });

  it("outlives a remote that is cut off between two of its requests", async () => {
    const app = await replicated("torn");
    const { pid } = endpoint.local;
    // What is asked after a batch has been written, when nobody looks whether it failed.
    remote.begin(({ method, path }) => (method === "GET" && path === "/torn/" ? "cut" : "none"));
    await endpoint.remote.ask("PUT", "/torn/there", { n: 1 });
    await vi.waitFor(async () => expect((await app.ask("GET", "/there")).status).toBe(200), {
      timeout: 10_000,
    });
    await write(app, 0, 5);
    remote.end();
    await arrives("torn", 6);
    expect([endpoint.local.pid, endpoint.local.hasEnded]).toEqual([pid, false]);
  });

  it("brings over what there was when it was asked, and does not wait for an end of writing", async () => {
    const { local, remote: there } = endpoint;
    await replicated("chase");
    let stop = false;
    const writing = ["a", "b", "c", "d"].map(async (writer) => {
      for (let n = 0; !stop; n += 1) await there.ask("PUT", `/chase/${writer}${n}`, { n });
    });
    await arrives("chase", 200);
    await local.kill();
    await endpoint.until("chase", ({ side }) => side === "remote");
    await local.serve();
    await endpoint.until("chase", ({ side }) => side === "local");
    stop = true;
    await Promise.all(writing);
  });
});

describe("a second home that was removed", () => {
  it("gets everything again, and nobody is sent there before", async () => {
    const app = await replicated("removed");
    await write(app, 0, 20);
    await arrives("removed", 20);
    await endpoint.remote.ask("DELETE", "/removed");
    await arrives("removed", 20);
  });

  it("gets everything again also when somebody has made it anew at once", async () => {
    const app = await replicated("remade");
    await write(app, 0, 20);
    await arrives("remade", 20);
    await endpoint.remote.ask("DELETE", "/remade");
    await endpoint.remote.ask("PUT", "/remade");
    await write(app, 20, 21);
    await arrives("remade", 21);
    await endpoint.idle("remade");
    await endpoint.local.kill();
    await endpoint.until("remade", ({ side }) => side === "remote");
    const { status, text } = await app.ask("GET", "/n0");
    expect([status, text]).toEqual([200, expect.any(String)]);
    await endpoint.local.serve();
    await endpoint.until("remade", ({ side }) => side === "local");
  });
});

describe("a second home that is given up", () => {
  it("leaves nobody waiting who was asking it", async () => {
    const app = await replicated("left");
    await endpoint.local.kill();
    await endpoint.until("left", ({ side }) => side === "remote");
    let isSilent = true;
    remote.begin(({ path }) => (path.includes("slow") && isSilent ? "silence" : "none"));
    const asked = app.ask("GET", "?slow=1");
    await vi.waitFor(() => expect(remote.seen).toContain("GET /left?slow=1"));
    isSilent = false;
    await endpoint.app("left", { replicated: true, remote: `${endpoint.remote.url}/left` });
    expect((await asked).status).toBe(200);
    await endpoint.local.serve();
  });

  it("is replicated with no more, also when its database was just coming home", async () => {
    const app = await replicated("given");
    await write(app, 0, 1);
    await arrives("given", 1);
    await endpoint.local.kill();
    await endpoint.until("given", ({ side }) => side === "remote");
    let isAsked = false;
    remote.begin(({ path }) => {
      isAsked ||= path.includes("/_changes");
      return path.includes("/_changes") ? { laterMs: 1500 } : "none";
    });
    await endpoint.local.serve();
    await vi.waitFor(() => expect(isAsked).toBe(true), { timeout: 10_000 });
    await endpoint.accounts.save({ ...app.account, remote: null });
    await endpoint.app("given");
    remote.end();
    await pause(4000);
    await endpoint.remote.ask("PUT", "/given/late", {});
    await pause(1000);
    expect((await app.ask("GET", "/late")).status).toBe(404);
    expect((await app.ask("GET", "/n0")).status).toBe(200);
  });
});

describe("a remote with trouble", () => {
  it("that knows other credentials is told of without them, and mended by the right ones", async () => {
    const wrong = remote.url("credentials", { password: "wrong-password" });
    const app = await endpoint.app("credentials", { replicated: true, remote: wrong });
    await write(app, 0, 3);
    const told = await endpoint.until("credentials", ({ remote: seen }) => seen?.isWell === false);
    expect(told.remote?.error).toMatch(/401 unauthorized: Name or password is incorrect/);
    expect(secretsIn(JSON.stringify(told) + endpoint.output + endpoint.local.output)).toEqual([]);
    await endpoint.app("credentials", { replicated: true, remote: remote.url("credentials") });
    await arrives("credentials", 3);
  });

  it("that accepts and never answers is told of, and goes on at once when it answers again", async () => {
    const app = await replicated("silent");
    remote.begin("silence");
    await write(app, 0, 3);
    const told = await endpoint.until("silent", ({ remote: seen }) => seen?.isWell === false);
    expect(told.remote?.error).toMatch(/no answer within \d/);
    remote.end();
    await arrives("silent", 3);
    await endpoint.idle("silent");
  });

  it("that is full is told of, and gets what was written meanwhile when there is room", async () => {
    const app = await replicated("full");
    const body = { error: "insufficient_storage", reason: "the disk is full" };
    remote.begin(({ method, path }) =>
      /_bulk_docs/.test(path) && method === "POST" ? { status: 507, body } : "none",
    );
    await write(app, 0, 3);
    // The connections that were cut when the trouble began may be told of first.
    await endpoint.until("full", ({ directions }) => directions[0]?.error === "the disk is full");
    remote.end();
    await arrives("full", 3);
    expect((await endpoint.idle("full")).directions.map(({ error }) => error)).toEqual([null, null]);
  });

  it("that takes less at once than there is gets it in parts, all but what is too large by itself", async () => {
    const app = await replicated("narrow");
    const body = { error: "too_large", reason: "the request is too large" };
    remote.begin("cut");
    await write(app, 0, 50);
    expect((await app.ask("PUT", "/large", { text: "x".repeat(5000) })).status).toBe(201);
    await write(app, 50, 60);
    remote.begin(({ path, length }) =>
      /_bulk_docs/.test(path) && length > 2000 ? { status: 413, body } : "none",
    );
    await arrives("narrow", 60);
    const { directions } = await endpoint.until("narrow", (told) =>
      told.directions.some(({ error }) => error !== null),
    );
    expect(directions[0]?.error).toBe("1 document was refused there: the request is too large");
    expect((await endpoint.remote.ask("GET", "/narrow/large")).status).toBe(404);
    remote.end();
  });

  it("behind an nginx that takes less at once than there is gets it in parts too", async () => {
    const app = await replicated("nginx");
    const body = "<html><h1>413 Request Entity Too Large</h1></html>";
    remote.begin("cut");
    await write(app, 0, 50);
    remote.begin(({ path, length }) =>
      /_bulk_docs/.test(path) && length > 2000 ? { status: 413, body } : "none",
    );
    await arrives("nginx", 50);
    remote.end();
  });

  it("that is slow holds nobody up here, and gets everything", async () => {
    const app = await replicated("slow");
    remote.begin(() => ({ laterMs: 500 }));
    await write(app, 0, 30);
    const { remote: seen } = await endpoint.until("slow", ({ directions }) =>
      directions.every(({ state }) => state !== "failing"),
    );
    expect([seen?.isWell, (await app.ask("GET", "/n29")).status]).toEqual([true, 200]);
    await arrives("slow", 30);
    expect((await endpoint.idle("slow")).directions.map(({ error }) => error)).toEqual([null, null]);
    remote.end();
  });

  it("that refuses a document is told of, and gets the others", async () => {
    const app = await replicated("refusing");
    remote.begin("cut");
    await app.ask("PUT", "/bad", { bad: true });
    await app.ask("PUT", "/good", {});
    const rule = 'function (doc) { if (doc.bad) throw { forbidden: "not here" }; }';
    await endpoint.remote.ask("PUT", "/refusing/_design/rules", { validate_doc_update: rule });
    remote.end();
    await arrives("refusing", 2);
    const { directions } = await endpoint.until("refusing", (told) =>
      told.directions.some(({ error }) => error),
    );
    expect(directions[0]?.error).toBe("1 document was refused there: not here");
    expect((await endpoint.remote.ask("GET", "/refusing/good")).status).toBe(200);
    expect((await endpoint.remote.ask("GET", "/refusing/bad")).status).toBe(404);
  });

  it("whose certificate nobody has signed is told of, and nothing is sent to it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "data-test-"));
    const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    const wanted = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    execFileSync("openssl", ["req", ...wanted, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", cert]);
    await using secure = await TroubledRemote.before(endpoint.remote, {
      key: await readFile(key),
      cert: await readFile(cert),
    });
    const app = await endpoint.app("unsigned", {
      replicated: true,
      remote: secure.url("unsigned", { scheme: "https" }),
    });
    await write(app, 0, 2);
    const told = await endpoint.until("unsigned", ({ remote: seen }) => seen?.isWell === false);
    expect(told.remote?.error).toMatch(/SELF_SIGNED_CERT/);
    expect([secure.seen, secretsIn(JSON.stringify(told) + endpoint.output)]).toEqual([[], []]);
    await endpoint.app("unsigned", { replicated: true, remote: remote.url("unsigned") });
    await arrives("unsigned", 2);
    await rm(directory, { recursive: true });
  });
});
