import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../sdk/client.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture } from "../support/maestro.ts";
import { SshWorld } from "../support/ssh-world.ts";
import type { Developer, Ran } from "../support/sshd.ts";

let world: SshWorld;
let alice: Developer;
beforeAll(async () => {
  world = await SshWorld.start("--stream-drain", "0");
  alice = await world.developer("alice", "blog", "tricky", "old", "named");
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const served = async (app: string): Promise<{ version: string }> =>
  JSON.parse((await fetchFrom(world.maestro.httpPort, `${app}.localhost`)).body);

const version = (name: string) => `export const version = ${JSON.stringify(name)};\n`;

/** A clone of somebody who pushes to an app. */
class Clone {
  readonly directory: string;
  readonly app: string;

  constructor(directory: string, app: string) {
    this.directory = directory;
    this.app = app;
  }

  async git(...words: string[]): Promise<Ran> {
    const ran = await world.git(alice, this.directory, ...words);
    if (words[0] !== "push") expect(ran, ran.stderr).toMatchObject({ code: 0 });
    return ran;
  }

  async commit(files: Record<string, string>): Promise<void> {
    for (const [name, content] of Object.entries(files)) await writeFile(join(this.directory, name), content);
    await this.git("add", "--all", "--force");
    await this.git("commit", "--quiet", "--message", "a change");
  }

  async push(...refs: string[]): Promise<Ran> {
    return this.git("push", world.repository(this.app), ...refs);
  }
}

async function cloneOf(app: string, files: Record<string, string> = {}, branch = "main"): Promise<Clone> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-clone-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await cp(fixture("traffic"), directory, { recursive: true });
  const clone = new Clone(directory, app);
  await clone.git("init", "--quiet", "--initial-branch", branch);
  await clone.commit(files);
  return clone;
}

describe("git push", () => {
  it("makes the app with the first push, tells each step, and puts what is pushed live", async () => {
    const clone = await cloneOf("blog", { "version.js": version("first") });
    const first = await clone.push("main");
    expect(first, first.stderr).toMatchObject({ code: 0 });
    expect(first.stderr).toMatch(/remote: -----> blog: main at [0-9a-f]{7}/);
    expect(first.stderr).toMatch(/remote: -----> Release v1 from/);
    expect(first.stderr).toMatch(/remote: -----> blog v1 serves\s+remote:\s+http:\/\/blog.localhost/);
    expect(await served("blog")).toMatchObject({ version: "first" });
    expect(await readdir(world.incoming("blog"))).not.toContain(".git");

    await clone.commit({ "version.js": version("second") });
    expect(await clone.push("main")).toMatchObject({ code: 0 });
    expect(await served("blog")).toMatchObject({ version: "second" });

    await clone.commit({ "server.js": "console.error('it is broken'); process.exit(3);" });
    const failed = await clone.push("main");
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toMatch(/remote: -----> Refused: .*exit/);
    expect(failed.stderr).toMatch(/remote:\s+it is broken/);
    expect(failed.stderr).toContain("pre-receive hook declined");
    expect(await served("blog")).toMatchObject({ version: "second" });

    await clone.git("reset", "--quiet", "--hard", "HEAD~2");
    await clone.commit({ "version.js": version("rewritten") });
    expect(await clone.push("main")).toMatchObject({ code: 1 });
    const forced = await clone.push("--force", "main");
    expect(forced, forced.stderr).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("is another than before"),
    });
    expect(await served("blog")).toMatchObject({ version: "rewritten" });

    const deleted = await clone.push("--delete", "main");
    expect(deleted).toMatchObject({ code: 1, stderr: expect.stringContaining("cannot be deleted") });

    await clone.git("checkout", "--quiet", "-b", "idea");
    await clone.commit({ "version.js": version("only an idea") });
    const other = await clone.push("idea");
    expect(other).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("idea is kept, and not deployed: blog is deployed from main"),
    });
    expect(await served("blog")).toMatchObject({ version: "rewritten" });
    expect(await clone.push("--delete", "idea")).toMatchObject({ code: 0 });

    const audit = await (await world.maestro.client()).call("audit", { app: "blog" });
    const pushes = audit.filter(({ did }) => did === "push");
    expect(pushes.every(({ by }) => by === "key alice")).toBe(true);
    expect(pushes.length).toBeGreaterThan(5);
  });

  it("deploys master where there is no main, and the branch that app.json names", async () => {
    const old = await cloneOf("old", { "version.js": version("old") }, "master");
    expect(await old.push("master")).toMatchObject({ code: 0 });
    expect(await served("old")).toMatchObject({ version: "old" });

    const appJson = JSON.stringify({ maestro: { branch: "live" } });
    const named = await cloneOf("named", { "version.js": version("live"), "app.json": appJson }, "live");
    expect(await named.push("live:refs/heads/main")).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("deployed from live"),
    });
    expect(await named.push("live")).toMatchObject({ code: 0 });
    expect(await served("named")).toMatchObject({ version: "live" });
  });

  it("writes the files as they are in the commit, whatever is in the repository besides", async () => {
    const clone = await cloneOf("tricky", {
      "version.js": version("tricky"),
      ".gitattributes":
        "* text eol=crlf ident filter=evil\n[attr]mine -text\nversion.js export-ignore mine\n",
      ".gitignore": "ignored.txt\n",
      "ignored.txt": "$Id$ one\ntwo\n",
      "quote'\" 🎺.txt": "x",
    });
    await clone.git("config", "core.attributesFile", "/dev/null");
    await mkdir(join(clone.directory, "hooks"));
    await writeFile(
      join(clone.directory, "hooks", "post-checkout"),
      "#!/bin/sh\ntouch /tmp/maestro-planted\n",
    );
    await chmod(join(clone.directory, "hooks", "post-checkout"), 0o755);
    await symlink("version.js", join(clone.directory, "link.js"));
    await clone.git("add", "--all");
    await clone.git("commit", "--quiet", "--message", "more");
    await clone.git("update-index", "--add", "--cacheinfo", `160000,${"1".repeat(40)},vendor`);
    await clone.git("commit", "--quiet", "--message", "a submodule");
    // What an earlier deploy of another kind left there.
    const client = await connect({ server: world.maestro.rpc });
    await client.call("incoming", { app: "tricky" });
    await writeFile(world.incoming("tricky", "leftover.txt"), "");
    client.close();

    const pushed = await clone.push("main");
    expect(pushed, pushed.stderr).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("submodules are not fetched, their directories are empty: vendor"),
    });
    const names = await readdir(world.incoming("tricky"));
    expect(names).toEqual(expect.arrayContaining(["ignored.txt", "quote'\" 🎺.txt", "link.js", "hooks"]));
    expect(names).not.toContain("leftover.txt");
    const written = await readFile(world.incoming("tricky", "ignored.txt"), "utf8");
    expect(written).toBe((await clone.git("show", "HEAD:ignored.txt")).stdout);
    expect(written).toMatch(/^\$Id\$ one\n/);
  });

  it("is refused for an app that the key is not for, and reads nothing", async () => {
    const clone = await cloneOf("shop");
    const refused = await clone.push("main");
    expect(refused).toMatchObject({
      code: 128,
      stderr: expect.stringContaining("the key alice is not for shop"),
    });
    const fetched = await world.git(alice, clone.directory, "fetch", world.repository("blog"));
    expect(fetched).toMatchObject({ code: 128, stderr: expect.stringContaining("this key only sends") });
  });
});
