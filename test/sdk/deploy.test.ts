import { execFile } from "node:child_process";
import { chmod, readFile, readlink, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { appNameOf } from "../../sdk/app-name.ts";
import { copyTree } from "../../sdk/copy.ts";
import { type DeployStep, deploy } from "../../sdk/deploy.ts";
import { filterRules } from "../../sdk/ignore.ts";
import type { DeployReport } from "../../src/app/reports.ts";
import { directoryWith, FakeServer } from "./support.ts";

const report: DeployReport = {
  app: "shop",
  hostnames: ["shop.localhost"],
  release: 3,
  instances: [{ id: "web.1", port: 20001, pid: 4242 }],
  tookMs: 210,
  urls: ["http://shop.localhost:8000/"],
  notes: [],
};

/** A server that takes what is sent into a directory of this test. */
async function serverWithIncoming(answers = {}): Promise<{ server: FakeServer; incoming: string }> {
  const incoming = await directoryWith({}, "incoming");
  return {
    incoming,
    server: new FakeServer({ incoming: () => ({ path: incoming }), restart: () => report, ...answers }),
  };
}

describe("deploy", () => {
  it("asks where the files go, sends them, and asks for one restart with all hostnames", async () => {
    const { server, incoming } = await serverWithIncoming();
    const directory = await directoryWith({ "package.json": '{"name":"shop"}', "app.js": "1" });
    const steps: DeployStep[] = [];
    const answer = await deploy({
      client: server,
      directory,
      hostnames: ["Shop.Example.com", "www.shop.example.com."],
      onProgress: (step) => steps.push(step),
    });
    expect(answer).toEqual(report);
    expect(server.calls).toEqual([
      { name: "incoming", input: { app: "shop", sending: true } },
      {
        name: "restart",
        input: { app: "shop", sent: true, hostnames: ["shop.example.com", "www.shop.example.com"] },
      },
    ]);
    expect(await readFile(join(incoming, "app.js"), "utf8")).toBe("1");
    expect(steps).toMatchObject([
      { step: "send", state: "began" },
      { step: "send", state: "done", detail: "2 new or changed files" },
    ]);
  });

  it("passes on what the server tells while it restarts, and that it should wait", async () => {
    const { server } = await serverWithIncoming({
      restart: (_input: unknown, { onProgress }: { onProgress?: (step: DeployStep) => void }) => {
        onProgress?.({ step: "start", state: "began" });
        return report;
      },
    });
    const directory = await directoryWith({ "app.js": "1" }, "shop");
    const steps: string[] = [];
    await deploy({ client: server, directory, wait: true, onProgress: ({ step }) => steps.push(step) });
    expect(steps).toEqual(["send", "send", "start"]);
    expect(server.calls[1]).toEqual({ name: "restart", input: { app: "shop", sent: true, wait: true } });
  });

  it("says what changed and what went when it sends again", async () => {
    const { server, incoming } = await serverWithIncoming();
    const directory = await directoryWith({ "app.js": "1", "same.js": "1" }, "shop");
    await writeFile(join(incoming, "old.js"), "");
    const details: (string | undefined)[] = [];
    const onProgress = ({ detail, state }: DeployStep) => void (state === "done" && details.push(detail));
    await deploy({ client: server, directory, onProgress });
    await writeFile(join(directory, "app.js"), "22");
    await deploy({ client: server, directory, onProgress });
    await deploy({ client: server, directory, onProgress });
    expect(details).toEqual(["2 new or changed files, 1 removed", "1 new or changed file", "nothing new"]);
  });

  for (const name of [
    "with space",
    "-leading-dash",
    "--delete",
    "quo'te\"s; $(touch x) & | <>",
    "a:b",
    "ü * [x]?",
  ]) {
    it(`sends a directory that is called ${JSON.stringify(name)}`, async () => {
      const { server, incoming } = await serverWithIncoming();
      const directory = await directoryWith({ "app.js": "1", [`sub/${name}`]: "2" }, name);
      await deploy({ client: server, directory, app: "shop" });
      expect(await readFile(join(incoming, "app.js"), "utf8")).toBe("1");
      expect(await readFile(join(incoming, "sub", name), "utf8")).toBe("2");
    });
  }

  it("refuses a directory that is none, before it asks anything", async () => {
    const server = new FakeServer();
    const directory = await directoryWith({ file: "" });
    await expect(deploy({ client: server, directory: join(directory, "none") })).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("there is no directory"),
    });
    await expect(deploy({ client: server, directory: join(directory, "file") })).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
    expect(server.calls).toEqual([]);
  });

  it("refuses a hostname that is none, before it asks anything", async () => {
    const server = new FakeServer();
    const directory = await directoryWith({}, "shop");
    await expect(deploy({ client: server, directory, hostnames: ["not a host"] })).rejects.toMatchObject({
      code: "BAD_INPUT",
      details: { hostname: "not a host" },
    });
    expect(server.calls).toEqual([]);
  });

  it("says so when the server expects the files on another machine, and restarts nothing", async () => {
    const server = new FakeServer({ incoming: () => ({ path: "/nowhere/apps/shop/incoming" }) });
    const directory = await directoryWith({}, "shop");
    await expect(deploy({ client: server, directory })).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("is not on this machine"),
    });
    expect(server.calls.map(({ name }) => name)).toEqual(["incoming"]);
  });

  it("refuses to send a directory into itself, unless Maestro's home is .maestro in it", async () => {
    const directory = await directoryWith(
      { "app.js": "1", "home/incoming/": "", ".maestro/apps/shop/incoming/": "" },
      "shop",
    );
    const into = (path: string) =>
      deploy({ client: new FakeServer({ incoming: () => ({ path }), restart: () => report }), directory });
    await expect(into(join(directory, "home/incoming"))).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(into(directory)).rejects.toMatchObject({ code: "BAD_INPUT" });
    const own = join(directory, ".maestro/apps/shop/incoming");
    await into(own);
    expect(await readFile(join(own, "app.js"), "utf8")).toBe("1");
    await expect(stat(join(own, ".maestro"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("restarts nothing when it is ended while it sends", async () => {
    const ending = new AbortController();
    const { server } = await serverWithIncoming();
    const directory = await directoryWith({ "app.js": "1" }, "shop");
    const onProgress = () => ending.abort();
    await expect(
      deploy({ client: server, directory, signal: ending.signal, onProgress }),
    ).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(server.calls.map(({ name }) => name)).toEqual(["incoming"]);
  });
});

const copy = async (source: string, destination: string) =>
  copyTree(source, destination, { rules: await filterRules(source) });

describe("the copy", () => {
  it("keeps modes, times and links, and passes over what is no file", async () => {
    const source = await directoryWith({ "run.sh": "#!/bin/sh\n", "target.txt": "x" });
    const destination = await directoryWith();
    const time = new Date("2020-02-02T02:02:02Z");
    await chmod(join(source, "run.sh"), 0o755);
    await utimes(join(source, "target.txt"), time, time);
    await symlink("target.txt", join(source, "link"));
    await promisify(execFile)("mkfifo", [join(source, "pipe")]);
    await copy(source, destination);
    expect((await stat(join(destination, "run.sh"))).mode & 0o777).toBe(0o755);
    expect((await stat(join(destination, "target.txt"))).mtime).toEqual(time);
    expect(await readlink(join(destination, "link"))).toBe("target.txt");
    await expect(stat(join(destination, "pipe"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("takes away what came to be ignored after it had been sent", async () => {
    const source = await directoryWith({ "app.js": "", "secret.txt": "", ".env": "" });
    const destination = await directoryWith({ ".env": "left by hand" });
    await copy(source, destination);
    await writeFile(join(source, ".gitignore"), "secret.txt\n");
    await copy(source, destination);
    await expect(stat(join(destination, "secret.txt"))).rejects.toMatchObject({ code: "ENOENT" });
    await expect(stat(join(destination, ".env"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("fails with rsync's own words", async () => {
    const source = await directoryWith({ "app.js": "" });
    const destination = await directoryWith({ file: "" });
    await expect(copy(source, join(destination, "file"))).rejects.toMatchObject({
      code: "INTERNAL",
      message: expect.stringContaining("rsync could not send the files"),
    });
  });

  it("names the package to install when there is no rsync", async () => {
    const source = await directoryWith({ "app.js": "" });
    const path = process.env["PATH"];
    process.env["PATH"] = await directoryWith();
    try {
      await expect(copy(source, await directoryWith())).rejects.toMatchObject({
        code: "INTERNAL",
        message: expect.stringContaining("apt-get install rsync"),
      });
    } finally {
      process.env["PATH"] = path;
    }
  });
});

describe("the name of an app", () => {
  const named = async (name: unknown) =>
    appNameOf(await directoryWith({ "package.json": JSON.stringify({ name }) }));

  it("is the one of package.json, made to fit", async () => {
    expect(await named("shop")).toBe("shop");
    expect(await named("@acme/My Shop.v2")).toBe("my-shop-v2");
    expect(await named(`${"x".repeat(62)}-y`)).toBe("x".repeat(62));
  });

  it("is that of the directory when package.json has none", async () => {
    expect(await appNameOf(await directoryWith({}, "My Shop"))).toBe("my-shop");
    expect(await appNameOf(await directoryWith({ "package.json": "{}" }, "shop"))).toBe("shop");
    expect(await appNameOf(await directoryWith({ "package.json": "[]" }, "shop"))).toBe("shop");
  });

  it("is the one that is asked for, or an error that says the rule", async () => {
    const directory = await directoryWith();
    expect(await appNameOf(directory, "other")).toBe("other");
    await expect(appNameOf(directory, "../etc")).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("starts with a letter"),
    });
  });

  it("has to be said where none can be made", async () => {
    await expect(named("3d")).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("--app NAME"),
    });
    await expect(appNameOf(await directoryWith({}, "日本"))).rejects.toMatchObject({ code: "BAD_INPUT" });
  });

  it("is not guessed when package.json is broken", async () => {
    const directory = await directoryWith({ "package.json": "{" });
    await expect(appNameOf(directory)).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("is not JSON"),
    });
  });
});
