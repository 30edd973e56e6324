import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { fetchFrom } from "../support/load.ts";
import { fixture } from "../support/maestro.ts";
import { FragileNetwork, SshWorld } from "../support/ssh-world.ts";
import type { Developer } from "../support/sshd.ts";

let world: SshWorld;
let alice: Developer;
let bob: Developer;
beforeAll(async () => {
  world = await SshWorld.start("--stream-drain", "0");
  alice = await world.developer("alice", "blog", "wiki", "cut", "odd", "race");
  bob = await world.developer("bob", "shop", "race");
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function projectWith(files: Record<string, string | Buffer> = {}): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-project-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await cp(fixture("traffic"), directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  return directory;
}

const served = async (app: string): Promise<{ version: string }> =>
  JSON.parse((await fetchFrom(world.maestro.httpPort, `${app}.test`)).body);

const version = (name: string) => `export const version = ${JSON.stringify(name)};\n`;

describe("maestro deploy --to", () => {
  it("puts a directory live by one connection, remembers how, and then needs no words", async () => {
    const project = await projectWith({ ".env": "SECRET=1", "version.js": version("first") });
    const before = world.sshd.connections;
    const first = await world.deploy(alice, project, "--app", "blog", "--hostname", "blog.test");
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining("blog v1 serves") });
    expect(first.stdout).toContain("http://blog.test");
    expect(first.stderr).toMatch(/sent \d+ new or changed files/);
    expect(world.sshd.connections - before).toBe(1);
    expect(await served("blog")).toMatchObject({ version: "first" });
    expect(existsSync(world.incoming("blog", ".env"))).toBe(false);
    expect(JSON.parse(await readFile(join(project, ".maestro.json"), "utf8"))).toEqual({
      to: world.to(),
      app: "blog",
      hostnames: ["blog.test"],
    });

    const unchanged = await world.run(alice, ["deploy"], project);
    expect(unchanged).toMatchObject({ code: 0, stderr: expect.stringContaining("sent nothing new") });
    expect(unchanged.stdout).toContain("blog v1 serves");

    await writeFile(join(project, "version.js"), version("second"));
    const changed = await world.run(alice, ["deploy", "--json"], project);
    expect(JSON.parse(changed.stdout)).toMatchObject({ app: "blog", release: 2 });
    expect(changed.stderr).toContain("sent 1 new or changed file");
    expect(await served("blog")).toMatchObject({ version: "second" });
    expect(world.sshd.connections - before).toBe(3);

    const logs = await world.run(alice, ["logs", "-n", "5"], project);
    expect(logs.code).toBe(0);
    const ps = await world.run(alice, ["ps", "blog"], project);
    expect(ps.stdout).toContain("web.1");
  });

  it("leaves the earlier release serving when the new code does not start, and says why", async () => {
    const project = await projectWith({ "version.js": version("good") });
    await world.deploy(alice, project, "--app", "wiki", "--hostname", "wiki.test");
    await writeFile(join(project, "server.js"), "throw new Error('this is broken');");
    const failed = await world.deploy(alice, project, "--app", "wiki");
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("this is broken") });
    expect(await served("wiki")).toMatchObject({ version: "good" });
  });

  it("is refused on an app that the key is not for, and the app stays as it was", async () => {
    const project = await projectWith();
    const refused = await world.deploy(bob, project, "--app", "blog");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("the key bob is for race, shop, and may not call incoming for blog");
    const byHand = await world.rsync(bob, "-a", `${project}/`, `${world.user}@127.0.0.1:blog/`);
    expect(byHand.code).not.toBe(0);
    expect(byHand.stderr).toContain("the key bob is not for blog");
  });

  it("goes on where it was after the connection was cut in the middle of a file, which no release ever shows", async () => {
    const project = await projectWith({ "version.js": version("before") });
    await world.deploy(alice, project, "--app", "cut", "--hostname", "cut.test");
    // Far more than what is on its way when the connection is cut, and lost with it.
    const size = 40_000_000;
    await writeFile(join(project, "large.bin"), randomBytes(size));
    {
      await using network = await FragileNetwork.start(world.sshd.port, 24_000_000);
      const cut = await world.run(alice, ["deploy", project, "--to", world.to(network.port), "--app", "cut"]);
      expect(cut).toMatchObject({ code: 1, stderr: expect.stringContaining("was cut while the files") });
      expect(cut.stderr).toContain("it goes on where it was");
    }
    expect(await served("cut")).toMatchObject({ version: "before" });
    await world.maestro.until("access.ended", (entry) => entry["app"] === "cut" && entry["exitCode"] !== 0);
    const partial = world.incoming("cut", ".maestro-partial");
    expect((await stat(join(partial, "large.bin"))).size).toBeGreaterThan(1_000_000);
    await mkdir(world.incoming("cut", "old", ".maestro-partial"), { recursive: true });
    await (await world.maestro.client()).call("restart", { app: "cut", wait: true });
    expect(await readdir(join(world.maestro.home, "apps/cut/releases/v1"))).toEqual(
      expect.not.arrayContaining([".maestro-partial", "large.bin"]),
    );

    await using network = await FragileNetwork.start(world.sshd.port, Number.POSITIVE_INFINITY);
    const again = await world.run(alice, ["deploy", project, "--to", world.to(network.port), "--app", "cut"]);
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining("sent 1 new") });
    expect(network.sent).toBeLessThan(size - 1_000_000);
    expect(
      (await readFile(world.incoming("cut", "large.bin"))).equals(await readFile(join(project, "large.bin"))),
    ).toBe(true);
    expect(existsSync(partial)).toBe(false);
    expect(existsSync(world.incoming("cut", "old", ".maestro-partial"))).toBe(false);
  });

  it("sends names with spaces, quotes, wildcards and emoji as they are, whatever the clock here says", async () => {
    const names = [
      "a b.txt",
      'it\'s "quoted".txt',
      "*?[x].txt",
      "$(id);&|.txt",
      "--help",
      "🎺 ü.txt",
      "back\\slash",
    ];
    const project = await projectWith(Object.fromEntries(names.map((name) => [name, name])));
    const longAgo = new Date("2001-01-01T00:00:00Z");
    for (const name of names) await utimes(join(project, name), longAgo, longAgo);
    expect(await world.deploy(alice, project, "--app", "odd")).toMatchObject({ code: 0 });
    for (const name of names) {
      expect(await readFile(join(world.maestro.home, "apps/odd/releases/v1", name), "utf8")).toBe(name);
    }
    await writeFile(join(project, "line\nfeed"), "");
    const refused = await world.deploy(alice, project, "--app", "odd");
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("control characters in its name"),
    });
  });

  it("lets one of two deploys at once through and tells the other, or lets it wait; files are never mixed", async () => {
    const projects = await Promise.all(
      ["one", "two"].map((name) => projectWith({ "version.js": version(name), "other.js": version(name) })),
    );
    await world.deploy(alice, projects[0] ?? "", "--app", "race", "--hostname", "race.test");
    const both = await Promise.all([
      world.deploy(alice, projects[0] ?? "", "--app", "race", "--wait"),
      world.deploy(bob, projects[1] ?? "", "--app", "race", "--wait"),
    ]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    const client = await world.maestro.client();
    const { path } = await client.call("incoming", { app: "race" });
    const held = await world.deploy(alice, projects[0] ?? "", "--app", "race");
    expect(held).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/an admin \(loopback\) deploys race since/),
    });
    await appendFile(join(path, "version.js"), "\n");
    await client.call("restart", { app: "race" });
    expect(await world.deploy(alice, projects[0] ?? "", "--app", "race")).toMatchObject({ code: 0 });
    const releases = join(world.maestro.home, "apps/race/releases");
    for (const name of (await readdir(releases)).filter((entry) => /^v\d/.test(entry))) {
      const [one, two] = await Promise.all(
        ["version.js", "other.js"].map((file) => readFile(join(releases, name, file), "utf8")),
      );
      expect(one?.trim()).toBe(two?.trim());
    }
  });
});

describe("a server that cannot be reached, or is not the one it was", () => {
  it.each([
    [
      "a port where nobody listens",
      () => ({ to: `${world.user}@127.0.0.1:1` }),
      /cannot reach .* by SSH \(Connection refused\)/,
    ],
    [
      "a name that does not exist",
      () => ({ to: `${world.user}@no-such-host.invalid` }),
      /there is no server of the name/,
    ],
    [
      "an option of ssh in its place",
      () => ({ to: "-oProxyCommand=id" }),
      /is not a server; write user@server/,
    ],
  ])("%s: says so", async (_, where, sentence) => {
    const failed = await world.run(alice, [
      "deploy",
      await projectWith(),
      "--to",
      where().to,
      "--app",
      "blog",
    ]);
    expect(failed.code).toBeGreaterThan(0);
    expect(failed.stderr).toMatch(sentence);
  });

  it("a key that the server does not know: says who can let it in", async () => {
    const stranger = await world.sshd.developer("stranger");
    const failed = await world.deploy(stranger, await projectWith(), "--app", "blog");
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("takes none of your SSH keys") });
    expect(failed.stderr).toContain("maestro keys add");
  });

  it("another host key than before: warns, and sends nothing", async () => {
    const misled = await world.sshd.developer("misled", { hostKey: await readFile(alice.publicKey, "utf8") });
    await world.add(misled, "blog");
    const failed = await world.deploy(misled, await projectWith(), "--app", "blog");
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("the host key of") });
    expect(failed.stderr).toContain("is another one than before");
  });
});
