import { execFile } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { fixture, TestMaestro } from "../support/maestro.ts";

const run = promisify(execFile);

let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start();
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
});

type Reply = [error: { message: string } | null, applications?: Record<string, string>];

/**
 * What dnode 0.9 puts on the wire: it first says its own methods, names the remote ones by their names, and its
 * callbacks by numbers at paths of the arguments.
 */
async function callAsIn2012(method: string, argument: unknown): Promise<Reply> {
  const [host = "", port] = maestro.rpc.split(":");
  const socket = createConnection({ host, port: Number(port) });
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  socket.on("error", reject);
  createInterface({ input: socket }).on("line", (line) => {
    const message = JSON.parse(line) as { method: string | number; arguments: unknown[] };
    if (message.method === "methods") {
      const call = { method, arguments: [argument, "[Function]"], callbacks: { 0: ["1"] }, links: [] };
      socket.write(`${JSON.stringify(call)}\n`);
    }
    if (message.method === 0) resolve(message.arguments as Reply);
  });
  socket.write(`${JSON.stringify({ method: "methods", arguments: [{}], callbacks: {}, links: [] })}\n`);
  try {
    return await promise;
  } finally {
    socket.end();
  }
}

const dnodeClient = `
  import dnode from "dnode";
  const [port, method, argument] = process.argv.slice(1);
  const client = dnode({}, { weak: false }).connect(Number(port));
  client.on("remote", (remote) => {
    remote[method](JSON.parse(argument), (error, reply) => {
      console.log(JSON.stringify([error ?? null, reply]));
      client.end();
    });
  });`;

/** A program of its own with the dnode of today. */
async function callByDnode(method: string, argument: unknown): Promise<Reply> {
  const port = maestro.rpc.split(":").pop() ?? "";
  const args = ["--input-type=module", "-e", dnodeClient, port, method, JSON.stringify(argument)];
  const { stdout } = await run(process.execPath, args);
  return JSON.parse(stdout) as Reply;
}

/** What rsync had done before: the app's files lie in its directory. */
async function sendFiles(app: string, kind: string): Promise<void> {
  const incoming = join(maestro.home, "apps", app, "incoming");
  await mkdir(incoming, { recursive: true });
  await cp(fixture(kind), incoming, { recursive: true });
}

describe.each([
  ["dnode 0.9", callAsIn2012, "a"],
  ["dnode 1.2", callByDnode, "b"],
] as const)("a client with %s", (_, call, mark) => {
  it("registers an app, restarts it, and finds it behind its hostname", async () => {
    const app = `prompt-${mark}`;
    await sendFiles(app, "2012-prompt");
    const host = `${app}.example.com`;
    expect(await call("register_app", { name: app, hostname: host })).toEqual([
      null,
      expect.objectContaining({ [app]: host }),
    ]);
    expect(await call("restart_app", app)).toEqual([null, expect.objectContaining({ [app]: host })]);
    expect(await fetchFrom(maestro.httpPort, host)).toEqual({ status: 200, body: `hello from ${app}` });
  });

  it("moves an app to another hostname by registering it again", async () => {
    const app = `prompt-${mark}`;
    const [error, applications] = await call("register_app", {
      name: app,
      hostname: `moved-${mark}.example.com`,
    });
    expect(error).toBeNull();
    expect(applications?.[app]).toBe(`moved-${mark}.example.com`);
    expect((await fetchFrom(maestro.httpPort, `moved-${mark}.example.com`)).body).toBe(`hello from ${app}`);
    expect(await fetchFrom(maestro.httpPort, `${app}.example.com`)).toEqual({
      status: 404,
      body: `host '${app}.example.com' not found on this server.`,
    });
  });

  it("restarts an app that takes more than a second to listen, and one that was never registered", async () => {
    const app = `slow-${mark}`;
    await sendFiles(app, "2012-slow");
    const [error, applications] = await call("restart_app", app);
    expect(error).toBeNull();
    expect(applications).not.toHaveProperty(app);
    expect((await fetchFrom(maestro.httpPort, `${app}.localhost`)).body).toBe(`hello at last from ${app}`);
  });

  it("restarts an app that dies on its first request: ready means that the port accepts", async () => {
    const app = `fragile-${mark}`;
    await sendFiles(app, "2012-fragile");
    await call("register_app", { name: app, hostname: `${app}.example.com` });
    expect((await call("restart_app", app))[0]).toBeNull();
    expect((await fetchFrom(maestro.httpPort, `${app}.example.com`)).status).toBe(502);
  });

  it("is told by err.message what is wrong", async () => {
    const [error] = await call("restart_app", `nobody-${mark}`);
    expect(error?.message).toContain(`nobody-${mark}`);
  });
});

it("/_ping_ on an unknown host answers pong", async () => {
  expect(await fetchFrom(maestro.httpPort, "load-balancer", { path: "/_ping_" })).toEqual({
    status: 200,
    body: "pong",
  });
});
