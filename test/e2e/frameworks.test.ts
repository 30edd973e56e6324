import { execFile } from "node:child_process";
import { argon2Sync, createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../sdk/client.ts";
import { isRoot } from "../support/apprunner.ts";
import { Checkout } from "../support/checkout.ts";
import { fetchFrom, type Request } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";
import { redPicture, sizeOf } from "../support/picture.ts";

const frameworks = ["express", "fastify", "koa", "nest", "native-addons"] as const;
const checkouts = new Map<string, Checkout>();
let maestro: TestMaestro;

beforeAll(async () => {
  maestro = await TestMaestro.start();
  await Promise.all(frameworks.map(async (name) => checkouts.set(name, await Checkout.of(name))));
}, 300_000);
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
  await Promise.all([...checkouts.values()].map((checkout) => checkout[Symbol.asyncDispose]()));
});

const level = async () => (await (await maestro.client()).call("status", {})).isolation.level;
/** Whether apps see files of their own choice alone, and names that Maestro writes. */
const hasNamespaces = async () => ["full", "userns"].includes(await level());

/** Deploys an app as it is, and makes sure that it is confined as apps are on this machine. */
async function deploy(name: string): Promise<void> {
  await maestro.deploy(name, checkouts.get(name)?.directory ?? fixture(name));
  const instances = await (await maestro.client()).call("ps", { app: name });
  expect(new Set(instances.map(({ isolation }) => isolation))).toEqual(new Set([await level()]));
}

async function ask(app: string, path: string, options: Request = {}): Promise<string> {
  const { status, body } = await fetchFrom(maestro.httpPort, `${app}.test`, { ...options, path });
  if (status !== 200) throw new Error(`${app} answered ${path} with ${status}: ${body}`);
  return body;
}

const json = async (app: string, path: string, options: Request = {}) =>
  JSON.parse(await ask(app, path, options));
const post = (body: string | Buffer, type = "application/octet-stream"): Request => ({
  method: "POST",
  body: Buffer.from(body),
  headers: { "content-type": type },
});

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** A form with a file, as browsers send it. */
async function form(file: Buffer, fields: Record<string, string> = {}): Promise<Request> {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  data.set("file", new Blob([new Uint8Array(file)]), "picture.txt");
  const encoded = new Response(data);
  return post(Buffer.from(await encoded.arrayBuffer()), encoded.headers.get("content-type") ?? "");
}

/** Resolves when each of these lines is in the app's logs, now or later. */
async function logged(app: string, ...texts: string[]): Promise<void> {
  const missing = new Set(texts);
  const { promise, resolve } = Promise.withResolvers<void>();
  const onLine = ({ text }: { text: string }) => {
    if (missing.delete(text) && missing.size === 0) resolve();
  };
  const client = await connect({ server: maestro.rpc });
  const following = client.call("logs", { app, follow: true, lines: 1000 }, { onLine });
  await Promise.race([promise, following]);
  client.close();
  await following.catch(() => {}); // its session is closed
}

/** Starts the app anew: what it says at its start, and at its end when it is told to end, gets into its logs. */
async function expectEnd(app: string, ...texts: string[]): Promise<void> {
  await (await maestro.client()).call("restart", { app });
  await logged(app, ...texts);
}

describe("frameworks from the registry run unchanged in the sandbox", () => {
  for (const framework of ["express", "fastify"]) {
    it(`${framework} routes, parses and answers`, async () => {
      await deploy(framework);
      const upload = randomBytes(300_000);
      const answer = await json(framework, "/upload", post(upload));
      expect(answer).toEqual({ version: "one", sha256: sha256(upload) });
      expect((await fetchFrom(maestro.httpPort, `${framework}.test`, { path: "/nowhere" })).status).toBe(404);
    });
  }

  it("Koa routes, trusts the proxy, and keeps uploads in /tmp", async () => {
    await deploy("koa");
    const headers = { "x-forwarded-proto": "spoofed" };
    const greeting = await json("koa", "/greet/J%C3%BCrgen", { headers });
    expect(greeting).toEqual({ greeting: "hello Jürgen", from: "koa.test", by: "http" });
    const file = randomBytes(700_000);
    const stored = await json("koa", "/files", await form(file, { note: "ä note" }));
    expect(stored).toMatchObject({ note: "ä note", originalFilename: "picture.txt", sha256: sha256(file) });
    expect(stored.filepath).toMatch(/^\/tmp\//);
    expect((await fetchFrom(maestro.httpPort, "koa.test", { method: "DELETE" })).status).toBe(405);
    await expectEnd("koa", "koa listens", "koa closes");
  });

  it("Nest injects, checks what comes in, keeps uploads in /tmp, and ends by its own hooks", async () => {
    await deploy("nest");
    expect(await json("nest", "/cats/1")).toEqual({ id: 1, name: "Tom" });
    const { status, body } = await fetchFrom(maestro.httpPort, "nest.test", { path: "/cats/x" });
    expect([status, JSON.parse(body).message]).toEqual([400, expect.stringContaining("numeric string")]);
    const added = await fetchFrom(maestro.httpPort, "nest.test", {
      ...post('{"name":"Ada"}', "application/json"),
      path: "/cats",
    });
    expect([added.status, JSON.parse(added.body)]).toEqual([201, { id: 2, name: "Ada" }]);
    const picture = { ...(await form(Buffer.from("purr"))), path: "/pictures" };
    const kept = await fetchFrom(maestro.httpPort, "nest.test", picture);
    expect(JSON.parse(kept.body)).toMatchObject({ size: 4, text: "purr" });
    await expectEnd("nest", "nest listens", "nest closes at SIGTERM");
  });

  it("native addons hash as argon2 does elsewhere, and halve a picture", async () => {
    await deploy("native-addons");
    const { hash } = await json("native-addons", "/hash", post("correct horse"));
    expect(hash).toBe(argon2Here("correct horse", hash));
    const verify = (password: string) =>
      json("native-addons", "/verify", post(JSON.stringify({ hashed: hash, password })));
    expect([await verify("correct horse"), await verify("battery staple")]).toEqual([
      { verified: true },
      { verified: false },
    ]);
    const { width, height, png } = await json("native-addons", "/half", post(redPicture(64, 32)));
    expect([width, height, ...sizeOf(Buffer.from(png, "base64"))]).toEqual([32, 16, 32, 16]);
    await expectEnd("native-addons", "addons listen", "addons close");
  });
});

/** The same hash by Node's own argon2, in the form of PHC strings (github.com/P-H-C/phc-string-format). */
function argon2Here(message: string, like: string): string {
  const [, , , , salt = ""] = like.split("$");
  const nonce = Buffer.from(salt, "base64");
  const tag = argon2Sync("argon2id", {
    message,
    nonce,
    parallelism: 2,
    tagLength: 32,
    memory: 4096,
    passes: 2,
  });
  const encoded = (bytes: Buffer) => bytes.toString("base64").replaceAll("=", "");
  return `$argon2id$v=19$m=4096,t=2,p=2$${encoded(nonce)}$${encoded(tag)}`;
}

describe("programs of many processes and threads run unchanged in the sandbox", () => {
  it("a parent starts shells, programs, pipelines and what it leaves behind", async () => {
    await deploy("child-processes");
    const said = (way: string) => ask("child-processes", `/${way}`);
    expect(await said("shell")).toBe("42 from /bin/sh");
    expect(await said("ls")).toBe("child.js\npackage.json\nserver.js");
    expect(await said("node")).toBe(process.version);
    expect(await said("pipeline")).toBe("997");
    expect(await said("large")).toBe("3000000");
    expect(await said("ipc")).toBe("6");
    expect(await said("signal")).toBe("SIGTERM");
    expect(await said("detached")).toBe("there");
    await expectEnd("child-processes", "parent listens", "parent closes");
  });

  it("threads share memory and wait for each other", async () => {
    await deploy("threads");
    const answer = await json("threads", "/");
    expect(answer).toMatchObject({ counted: 80_000, expected: 80_000, exits: [0, 0, 0, 0] });
    await expectEnd("threads", "threads listen", "threads close");
  });

  it("the workers of a cluster share the port, and one that dies is replaced", async () => {
    await deploy("clustered");
    await logged("clustered", "worker 1 listens", "worker 2 listens");
    await logged("clustered", "a worker of clustered, without a port: undefined");
    const worker = async (path = "/"): Promise<number> => (await json("clustered", path)).worker;
    const first = await worker();
    expect([first, await worker()].sort()).toEqual([1, 2]);
    const dead = await worker("/die");
    await logged("clustered", "worker 3 listens");
    expect([await worker(), await worker()].sort()).toEqual([3 - dead, 3]);
    await expectEnd("clustered", "cluster closed");
  });

  it("Python serves files", async ({ skip }) => {
    skip(!existsSync("/usr/bin/python3"), "there is no /usr/bin/python3 on this machine");
    await deploy("python");
    expect(await ask("python", "/")).toContain("<h1>python</h1>");
  });
});

describe("an app in the sandbox", () => {
  it("has a name for itself, also when another controller has taken over", async ({ skip }) => {
    skip(!(await hasNamespaces()), "without namespaces apps see the machine's own users");
    await deploy("child-processes");
    expect(await ask("child-processes", "/user")).toBe("app");
    await maestro.end("SIGTERM");
    await maestro.serve();
    expect(await ask("child-processes", "/user")).toBe("app");
  });

  it("finds other apps by hostname, through the proxy, and may trust whom the machine trusts", async () => {
    await deploy("caller");
    await deploy("notes");
    if (await hasNamespaces()) {
      expect(await json("caller", "/lookup?name=notes.test")).toEqual({ address: "127.0.0.1", family: 4 });
      const url = encodeURIComponent(`http://notes.test:${maestro.httpPort}/`);
      const { status, body } = await json("caller", `/visit?url=${url}`);
      expect([status, JSON.parse(body)]).toEqual([200, { version: "one", notes: [] }]);
    }
    expect(await json("caller", "/interfaces")).toContain("lo");
    const script = "require('node:tls').getCACertificates('system').length";
    const here = await promisify(execFile)(process.execPath, ["-p", script], { env: {} });
    expect(await json("caller", "/authorities")).toBe(Number(here.stdout));
    const tls = { untrusted: "DEPTH_ZERO_SELF_SIGNED_CERT", trusted: "secret" };
    expect(await json("caller", "/tls")).toEqual(tls);
    await expectEnd("caller", "caller listens", "caller closes");
  });

  it("writes to its storage, which the next release has too, and to /tmp, but not to its release", async () => {
    await deploy("notes");
    await ask("notes", "/", post("first"));
    await (await maestro.client()).call("restart", { app: "notes" });
    await ask("notes", "/", post("second"));
    await maestro.change("notes", { "version.js": 'export const version = "two";\n' });
    expect(await json("notes", "/")).toEqual({ version: "two", notes: ["first", "second"] });
    const writes = await json("notes", "/writes");
    expect(writes.tmp).toBe("written");
    const refused = (await hasNamespaces()) ? "EROFS" : isRoot ? "EACCES" : null;
    if (refused !== null) expect(writes.elsewhere).toEqual(Array.from({ length: 5 }, () => refused));
    await expectEnd("notes", "notes listen", "notes close");
  });
});
