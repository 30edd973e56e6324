import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, stat, symlink } from "node:fs/promises";
import { get as httpGet, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openHost } from "../../src/apprunner/host.ts";
import { installNode } from "../../src/apprunner/node-runtime.ts";
import { canReach } from "../../src/apprunner/reach.ts";
import { untilReady } from "../../src/apprunner/ready.ts";
import { installStaticServer } from "../../src/apprunner/static-runtime.ts";
import { stop } from "../../src/apprunner/stop.ts";
import { fixtures, isRoot, Place, question, someUser } from "../support/apprunner.ts";

const run = promisify(execFile);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "runtimes-test-"));
  await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true }));

type Answer = { status: number | undefined; headers: IncomingHttpHeaders; body: string };

function get(port: number, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    httpGet({ port, path, headers, agent: false }, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part);
      resolve({
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(parts).toString("latin1"),
      });
    }).on("error", reject);
  });
}

describe("the server for static files", () => {
  /** Serves the fixture, from an installed copy and as a user of its own where we may. */
  async function serve(place: Place) {
    const site = join(fixtures, "static-site");
    const spec = await place.spec({ start: { kind: "static" }, directory: site, user: someUser });
    const instance = await place.launch(spec);
    const { port } = await untilReady(question(spec, instance));
    return { port, instance, spec };
  }

  it("serves files, index pages, and the site's own page for what is not there", async () => {
    await using place = await Place.create();
    const { port } = await serve(place);
    expect(await get(port, "/")).toMatchObject({ status: 200, body: "<h1>A static site</h1>\n" });
    expect(await get(port, "/about/")).toMatchObject({ status: 200, body: "about\n" });
    expect(await get(port, "/nothing")).toMatchObject({ status: 404, body: "<h1>Not here</h1>\n" });
    expect((await get(port, "/")).headers["content-type"]).toBe("text/html;charset=utf-8");
  });

  it("answers 304 to who has it already, and sends the compressed form to who can read it", async () => {
    await using place = await Place.create();
    const { port } = await serve(place);
    const { headers } = await get(port, "/app.js");
    expect(headers["content-encoding"]).toBeUndefined();
    expect(await get(port, "/app.js", { "if-none-match": headers.etag ?? "" })).toMatchObject({
      status: 304,
      body: "",
    });
    expect((await get(port, "/app.js", { "accept-encoding": "gzip" })).headers["content-encoding"]).toBe(
      "gzip",
    );
  });

  it.each(["/.env", "/%2eenv", "/..%2f..%2fpackage.json", "/../../package.json", "/about/..%2f.env"])(
    "does not give %s away",
    async (path) => {
      await using place = await Place.create();
      const { port } = await serve(place);
      expect((await get(port, path)).status).toBe(404);
    },
  );

  it("only reads", async () => {
    await using place = await Place.create();
    const { port } = await serve(place);
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("ends by itself when asked to, also with a client that keeps its connection", async () => {
    await using place = await Place.create();
    const { port, instance } = await serve(place);
    await (await fetch(`http://127.0.0.1:${port}/`)).text();
    expect(await stop(instance, { graceMs: 60_000 })).toEqual({ code: 0, signal: null });
  });

  it("is put in place once, readable for everyone, by however many at the same time", async () => {
    const target = join(directory, "several");
    const paths = await Promise.all([1, 2, 3].map(() => installStaticServer(target)));
    expect(new Set(paths).size).toBe(1);
    expect((await stat(paths[0] ?? "")).mode & 0o777).toBe(0o644);
    expect(await readFile(paths[0] ?? "", "utf8")).not.toContain(": ServerResponse");
  });
});

describe("Node for apps", () => {
  it("is the one that runs Maestro, executable for everyone", async () => {
    const target = join(directory, "runtimes");
    const [node, again] = await Promise.all([installNode(target), installNode(target)]);
    expect(again).toBe(node);
    expect(node).toBe(join(target, `node-${process.version}`, "bin/node"));
    expect((await run(node, ["--version"])).stdout.trim()).toBe(process.version);
    expect((await stat(node)).mode & 0o555).toBe(0o555);
  });
});

describe("whether a user can reach a path", () => {
  it("depends on every directory above it, and on links on the way", async () => {
    const user = { uid: 29_991, gid: 29_991 };
    expect(canReach(user, directory)).toBe(true);
    expect(canReach(user, join(directory, "not/there/yet"))).toBe(true);
    const inner = await mkdtemp(join(directory, "closed-"));
    expect(canReach(user, join(inner, "app"))).toBe(false);
    await symlink(inner, `${inner}.link`);
    expect(canReach(user, join(`${inner}.link`, "app"))).toBe(false);
    await chmod(inner, 0o711);
    expect(canReach(user, join(inner, "app"))).toBe(true);
  });

  it.runIf(isRoot)("decides whether apps get users of their own where they share the files", async () => {
    const home = join(await mkdtemp(join(directory, "closed-")), "maestro");
    const { ownUsers, obstacles } = await openHost({ home, atMost: "process" });
    expect(ownUsers).toBe(false);
    expect(obstacles.join()).toContain("apps run as Maestro's own user");
    expect((await openHost({ home })).ownUsers).toBe(true);
  });
});
