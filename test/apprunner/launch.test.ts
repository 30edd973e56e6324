import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LaunchSpec } from "../../src/app/instance.ts";
import { launch } from "../../src/apprunner/launch.ts";
import { untilReady } from "../../src/apprunner/ready.ts";
import { environmentOf, listProcesses, readProcess } from "../../src/lib/processes.ts";
import { isRoot, lineIn, Place, question, someUser, textOf } from "../support/apprunner.ts";
import { nameOf, shimNameOf } from "../support/chaos-processes.ts";

type Self = {
  argv: string[];
  env: Record<string, string>;
  pid: number;
  cwd: string;
  uid: number;
  gid: number;
  groups: number[];
  umask: number;
  limits: string;
  status: string;
};

/** Starts the app, and asks it what it finds itself to be. */
async function selfOf(place: Place, spec: LaunchSpec): Promise<Self> {
  const instance = await place.launch(spec);
  const { port } = await untilReady(question(spec, instance));
  const response = await fetch(`http://127.0.0.1:${port}/self`);
  return (await response.json()) as Self;
}

describe("an instance", () => {
  it("finds in its environment what the contract lists, and nothing of Maestro's own", async () => {
    await using place = await Place.create();
    const spec = await place.spec();
    const { env } = await selfOf(place, spec);
    expect(env).toMatchObject({
      PORT: String(spec.port),
      HOST: "127.0.0.1",
      NODE_ENV: "production",
      MAESTRO_APP: "hello",
      MAESTRO_RELEASE: "v3",
      MAESTRO_INSTANCE: "web.1",
      HOME: "/tmp",
      TMPDIR: "/tmp",
      LANG: "C.UTF-8",
    });
    const own = [".venv/bin", "node_modules/.bin"].map((path) => join(spec.directory, path));
    expect(env["PATH"]?.split(":").slice(0, 2)).toEqual(own);
    const known = ["PORT", "HOST", "NODE_ENV", "PATH", "HOME", "TMPDIR", "LANG", "TZ", "PWD"];
    const others = Object.keys(env).filter((name) => !known.includes(name));
    expect(others.sort()).toEqual(["MAESTRO_APP", "MAESTRO_INSTANCE", "MAESTRO_RELEASE"]);
  });

  it("gets its own variables, whatever is in them, except those that are Maestro's to say", async () => {
    await using place = await Place.create();
    const odd = `it's "quoted" $HOME \`id\` \\ \n second line é`;
    const env = {
      ODD: odd,
      NODE_ENV: "staging",
      PORT: "1",
      MAESTRO_APP: "other",
      MAESTRO_HOME: "/",
      run: "x",
      stat: "y",
    };
    const spec = await place.spec({ env });
    const self = await selfOf(place, spec);
    expect(self.env).toMatchObject({
      ODD: odd,
      NODE_ENV: "staging",
      PORT: String(spec.port),
      MAESTRO_APP: "hello",
    });
    expect(self.env).toMatchObject({ run: "x", stat: "y" });
    expect(self.env["MAESTRO_HOME"]).toBeUndefined();
  });

  it("does not show its environment in the list of processes, and its shim carries its app's name", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ env: { SECRET: "tell-nobody" } });
    const instance = await place.launch(spec);
    await untilReady(question(spec, instance));
    const shim = readProcess(instance.pid)?.parent ?? 0;
    const words = (await textOf(`/proc/${shim}/cmdline`)).split("\0");
    expect(nameOf(shim)).toBe(shimNameOf("hello"));
    expect(words.join(" ")).not.toContain("tell-nobody");
  });

  it("refuses a variable that no shell could hand on", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ env: { "not a name": "x" } });
    await expect(launch(spec, place.host)).rejects.toMatchObject({
      code: "BAD_INPUT",
      details: { name: "not a name" },
    });
  });

  it("runs in its release, in a session and group of its own, with ordinary signals, limits and umask", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "line", line: "node answers.js" } });
    const instance = await place.launch(spec);
    await untilReady(question(spec, instance));
    const self = (await (await fetch(`http://127.0.0.1:${spec.port}/self`)).json()) as Self;
    expect(self.cwd).toBe(spec.directory);
    expect(self.umask).toBe(0o022);
    expect(readProcess(self.pid)).toMatchObject({ session: instance.pid, group: instance.pid });
    const shell = await textOf(`/proc/${instance.pid}/status`);
    expect(shell).toMatch(/^SigIgn:\t0+$/m);
    expect(await textOf(`/proc/${instance.pid}/limits`)).toMatch(/^Max open files +1024 /m);
  });

  it("inherits nothing but its log files", async () => {
    await using place = await Place.create();
    const list = "ls /proc/self/fd";
    const spec = await place.spec({
      start: { kind: "line", line: `${list}; readlink /proc/self/fd/[012]; echo end` },
    });
    await place.launch(spec);
    await lineIn(spec.output.stdout, /^end$/);
    // What this process was itself given, and any child of it has, is none of ours.
    const bare = spawnSync("/bin/sh", ["-c", list], { encoding: "utf8" }).stdout;
    const files = ["/dev/null", spec.output.stdout, spec.output.stderr].join("\n");
    expect(await textOf(spec.output.stdout)).toBe(`${bare}${files}\nend\n`);
  });

  it.runIf(isRoot)("runs as its own user, who has no other groups and cannot get more rights", async () => {
    await using place = await Place.create();
    const self = await selfOf(place, await place.spec({ user: someUser }));
    expect(self).toMatchObject({ uid: someUser?.uid, gid: someUser?.gid });
    expect(self.groups.filter((group) => group !== someUser?.gid)).toEqual([]);
    expect(self.status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(self.status).toMatch(/^CapBnd:\t0+$/m);
  });

  it.runIf(isRoot)("may open its output once more, but not read it", async () => {
    await using place = await Place.create();
    const line = "echo again >>/dev/stdout; cat /dev/stdout; echo end";
    const spec = await place.spec({ user: someUser, start: { kind: "line", line } });
    const instance = await place.launch(spec);
    await instance.exited;
    expect(await textOf(spec.output.stdout)).toBe("again\nend\n");
    expect(await textOf(spec.output.stderr)).toContain("Permission denied");
  });

  it.runIf(isRoot)("cannot use its environment to run code with Maestro's rights", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ user: someUser, env: { LD_PRELOAD: "/nonexistent/evil.so" } });
    const instance = await place.launch(spec);
    await untilReady(question(spec, instance));
    // The loader complains once for each program that it is in force for: Node alone.
    const complaints = (await textOf(spec.output.stderr)).match(/LD_PRELOAD cannot be preloaded/g);
    expect(complaints).toHaveLength(1);
  });

  it("of 2012 is told its name and port on the command line", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "apprunner" } });
    const instance = await place.launch(spec);
    expect(await lineIn(spec.output.stdout, / on /)).toBe(`hello on ${spec.port}`);
    const words = (await textOf(`/proc/${instance.pid}/cmdline`)).split("\0");
    expect(words.slice(1, 6)).toEqual(["apprunner.js", "--name", "hello", "--port", String(spec.port)]);
  });

  it("has its run files closed to others", async () => {
    await using place = await Place.create();
    const spec = await place.spec();
    await place.launch(spec);
    expect((await stat(spec.runDirectory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(spec.runDirectory, "process"))).mode & 0o777).toBe(0o600);
  });
});

describe("an instance that cannot be started", () => {
  it("is an error when its directory is gone", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ directory: join(place.home, "gone") });
    await expect(launch(spec, place.host)).rejects.toMatchObject({ code: "NOTHING_TO_RUN" });
  });

  it("ends as under a shell when its program is missing, and says so in its output", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "line", line: "no-such-program" } });
    const instance = await place.launch(spec);
    expect(await instance.exited).toEqual({ code: 127, signal: null });
    expect(await textOf(spec.output.stderr)).toContain("no-such-program: not found");
  });

  it("ends as under a shell when Node cannot be executed", async () => {
    await using place = await Place.create();
    const spec = await place.spec();
    const instance = await place.launch(spec, { node: "/nonexistent/node" });
    expect(await instance.exited).toEqual({ code: 127, signal: null });
    expect(await textOf(spec.output.stderr)).toContain("/nonexistent/node: not found");
  });
});

describe("the end of an instance", () => {
  it.each([
    ["exit 0", { code: 0, signal: null }],
    ["exit 9", { code: 9, signal: null }],
    ["kill -KILL $$", { code: null, signal: "SIGKILL" }],
  ])("of the line `%s` is seen as it was", async (line, exit) => {
    await using place = await Place.create();
    const instance = await place.launch(await place.spec({ start: { kind: "line", line } }));
    expect(await instance.exited).toEqual(exit);
  });

  it("is seen without a code when the shim was killed before", async () => {
    await using place = await Place.create();
    const spec = await place.spec();
    const instance = await place.launch(spec);
    await untilReady(question(spec, instance));
    process.kill(readProcess(instance.pid)?.parent ?? Number.NaN, "SIGKILL");
    expect((await fetch(`http://127.0.0.1:${spec.port}/`)).status).toBe(200);
    process.kill(instance.pid, "SIGKILL");
    expect(await instance.exited).toEqual({ code: null, signal: null });
  });

  it("is not hastened by signals to the shim", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ start: { kind: "node", file: "finishes.js" } });
    const instance = await place.launch(spec);
    await lineIn(spec.output.stdout, /^up$/);
    const shim = readProcess(instance.pid)?.parent ?? Number.NaN;
    for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"]) process.kill(shim, signal);
    process.kill(instance.pid, "SIGTERM");
    expect(await instance.exited).toEqual({ code: 7, signal: null });
  });
});

describe("a start that fails", () => {
  const processesAt = (port: number | null) =>
    listProcesses().filter(({ pid }) => environmentOf(pid).has(`PORT=${port}`));

  // More than once: what is removed is still written to by the shim.
  it("leaves no process, no control group and no run directory when nobody can write down who runs", {
    repeats: 15,
  }, async () => {
    await using place = await Place.create();
    const spec = await place.spec();
    await mkdir(join(spec.runDirectory, "process"), { recursive: true }); // as on a disk without room
    await expect(launch(spec, place.host)).rejects.toMatchObject({
      code: "INTERNAL",
      message: expect.stringContaining("nothing came up"),
    });
    expect(processesAt(spec.port)).toEqual([]);
    expect(place.host.cgroups?.find(spec.key) ?? null).toBeNull();
    expect(existsSync(spec.runDirectory)).toBe(false);
  });

  it("leaves no run directory when the release is gone", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ directory: join(place.home, "gone") });
    await expect(launch(spec, place.host)).rejects.toMatchObject({ code: "NOTHING_TO_RUN" });
    expect(existsSync(spec.runDirectory)).toBe(false);
  });

  it("says so when the environment is larger than the kernel takes", async () => {
    await using place = await Place.create();
    const spec = await place.spec({ env: { LARGE: "x".repeat(200_000) } });
    await expect(launch(spec, place.host)).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("environment"),
    });
  });
});
