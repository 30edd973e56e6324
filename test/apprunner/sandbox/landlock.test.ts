import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { landlockWords, probeLandlock, systemPaths } from "../../../src/apprunner/sandbox/landlock.ts";

type Outcome = { code: number | null; output: string; problem: string };
/** Neighbours without users of their own: both run as the same one, so that only Landlock stands between them. */
const user = { uid: 29_994, gid: 29_994 };

let place: string;
let release: string;
let storage: string;
let neighbour: string;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "landlock-test-"));
  [release, storage, neighbour] = [join(place, "release"), join(place, "storage"), join(place, "neighbour")];
  for (const directory of [release, storage, neighbour]) {
    await mkdir(directory);
    await writeFile(join(directory, "file"), "what it holds");
    await chown(directory, user.uid, user.gid);
    await chown(join(directory, "file"), user.uid, user.gid);
  }
  await chmod(place, 0o755);
});

afterEach(() => rm(place, { recursive: true, force: true }));

function words(bindPorts: number[] = []): string[] {
  const { readOnly, readWrite } = systemPaths();
  const node = process.execPath;
  return landlockWords({
    readOnly: [...readOnly, node, release],
    readWrite: [...readWrite, storage],
    bindPorts,
  });
}

function run(command: readonly string[], identity: { uid?: number; gid?: number }): Promise<Outcome> {
  const [program = "", ...rest] = command;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      rest,
      { ...identity, cwd: "/", timeout: 20_000 },
      (error, output, problem) => {
        resolve({ code: error === null ? 0 : child.exitCode, output, problem });
      },
    );
  });
}

describe("Landlock", () => {
  it("says what holds here, having tried it", async () => {
    const { abi, files, network, signals, obstacle } = await probeLandlock();
    expect(obstacle).toBeNull();
    expect(abi).toBeGreaterThanOrEqual(1);
    expect({ files, network, signals }).toEqual({ files: true, network: abi >= 4, signals: abi >= 6 });
  });

  it("takes absolute paths and ports only", () => {
    const refused = expect.objectContaining({ code: "BAD_INPUT" });
    expect(() => landlockWords({ readOnly: ["app"], readWrite: [] })).toThrow(refused);
    expect(() => landlockWords({ readOnly: [], readWrite: ["/a\0b"] })).toThrow(refused);
    expect(() => landlockWords({ readOnly: [], readWrite: [], bindPorts: [70_000] })).toThrow(refused);
  });
});

describe.each([
  ["an ordinary user", user],
  ["root", {}],
])("under Landlock, %s", (_, identity) => {
  const shell = (line: string) => run([...words(), "/bin/sh", "-c", line], identity);

  it("reads and executes its release, and writes its storage", async () => {
    const line = `cat ${release}/file && echo new > ${storage}/made && cat ${storage}/made && mv ${storage}/made ${storage}/moved && rm ${storage}/moved`;
    expect(await shell(line)).toEqual({ code: 0, output: "what it holdsnew\n", problem: "" });
  });

  it.each([
    ["read a neighbour's file", () => `cat ${neighbour}/file`],
    ["list a neighbour's directory", () => `ls ${neighbour}`],
    ["list the directory above", () => `ls ${place}`],
    ["write its release", () => `echo changed > ${release}/file`],
    ["truncate its release", () => `perl -e 'truncate("${release}/file", 0) or die $!'`],
    ["make a file in its release", () => `touch ${release}/made`],
    ["remove a file of its release", () => `rm -f ${release}/file`],
    ["move a file out of its release", () => `mv ${release}/file ${storage}/moved`],
    ["link a neighbour's file into its storage", () => `ln ${neighbour}/file ${storage}/linked`],
    ["write a neighbour's file", () => `echo changed >> ${neighbour}/file`],
    [
      "read a neighbour's file through a link of its own",
      () => `ln -s ${neighbour}/file ${storage}/link && cat ${storage}/link`,
    ],
    [
      "write its release through a link of its own",
      () => `ln -s ${release}/file ${storage}/link && echo x > ${storage}/link`,
    ],
    [
      "read a neighbour's file by way of its working directory",
      () => `cd ${release} && cat ../neighbour/file`,
    ],
    ["read a neighbour's file by /proc/self/root", () => `cat /proc/self/root${neighbour}/file`],
    ["read the passwords", () => "cat /etc/shadow"],
    ["make a device", () => `mknod ${storage}/device c 1 3`],
    ["mount", () => `mount -t tmpfs none ${storage}`],
    ["execute what is not below its paths", () => `cp /bin/true ${neighbour}/true; ${neighbour}/true`],
  ])("does not %s", async (_name, line) => {
    const { code, problem } = await shell(line());
    expect(code).toBeGreaterThan(0);
    expect(problem).toMatch(/denied|not permitted|cross-device|must be superuser/i);
    expect(await readFile(join(neighbour, "file"), "utf8")).toBe("what it holds");
    expect(await readFile(join(release, "file"), "utf8")).toBe("what it holds");
  });

  it("follows a link of its release to nowhere outside, even one that was there before", async () => {
    await symlink(join(neighbour, "file"), join(release, "link"));
    expect((await shell(`cat ${release}/link`)).code).toBeGreaterThan(0);
  });

  it("signals its own children, and neither a neighbour nor Maestro", async () => {
    const other = spawn("/bin/sleep", ["600"], user);
    await once(other, "spawn");
    const own = await shell("sleep 600 & kill $! && wait $!; test $? -eq 143 && echo ended");
    expect(own.output).toBe("ended\n");
    for (const pid of [other.pid, process.pid]) {
      expect((await shell(`kill -9 ${pid}`)).problem).toMatch(/not permitted/i);
    }
    expect(other.exitCode ?? other.signalCode).toBeNull();
    const exited = once(other, "exit");
    other.kill("SIGKILL");
    await exited;
  });

  it("does not reach an abstract unix socket of somebody else", async () => {
    const name = `\0landlock-test-${process.pid}`;
    const server = createServer().listen(name);
    await once(server, "listening");
    const attempt = `require("node:net").connect(${JSON.stringify(name)}).on("error", ({ code }) => console.log(code))`;
    const { output } = await run([...words(), process.execPath, "-e", attempt], identity);
    server.close();
    expect(output).toBe("EPERM\n");
  });

  it("listens at the ports that it is given, at those of the kernel's choice, and no other", async () => {
    const attempt = `const net = require("node:net");
      for (const port of [19301, 0, 19302]) {
        const server = net.createServer();
        server.on("error", ({ code }) => console.log(port, code));
        server.listen(port, "127.0.0.1", () => { console.log(port, "listens"); server.close(); });
      }`;
    const { output } = await run([...words([19_301, 0]), process.execPath, "-e", attempt], identity);
    expect(output.trim().split("\n").sort()).toEqual(["0 listens", "19301 listens", "19302 EACCES"]);
  });

  it("runs Node with threads and children", async () => {
    const program = `const { Worker } = require("node:worker_threads");
      const { execFileSync } = require("node:child_process");
      new Worker("require('node:worker_threads').parentPort.postMessage('thread')", { eval: true })
        .on("message", (said) => console.log(said, execFileSync("/bin/echo", ["child"]).toString().trim()));`;
    expect(await run([...words(), process.execPath, "-e", program], identity)).toEqual({
      code: 0,
      output: "thread child\n",
      problem: "",
    });
  });

  it("gets the program's own exit code", async () => {
    expect((await shell("exit 7")).code).toBe(7);
  });

  it.each([
    [
      "a path is missing",
      () => landlockWords({ readOnly: ["/usr", "/nowhere"], readWrite: [] }),
      /\/nowhere cannot be opened/,
    ],
    [
      "a port is none",
      () => [...landlockWords({ readOnly: ["/"], readWrite: [] }).slice(0, -1), "--bind", "x", "--"],
      /x is not a port/,
    ],
    [
      "a word is not known",
      () => [...landlockWords({ readOnly: ["/"], readWrite: [] }).slice(0, -1), "--all", "/", "--"],
      /not understood/,
    ],
  ])("executes nothing when %s", async (_name, start, problem) => {
    const outcome = await run([...start(), "/bin/echo", "executed"], identity);
    expect(outcome).toEqual({ code: 125, output: "", problem: expect.stringMatching(problem) });
  });
});

/** Not so for root, whose capabilities (CAP_PERFMON) the kernel asks first. */
it("under Landlock, an ordinary user does not read the environment of another process of the same user", async () => {
  const other = spawn("/bin/sleep", ["600"], { ...user, env: { SECRET: "of the neighbour" } });
  await once(other, "spawn");
  const { code, output } = await run([...words(), "/bin/cat", `/proc/${other.pid}/environ`], user);
  expect({ failed: code !== 0, output }).toEqual({ failed: true, output: "" });
  const exited = once(other, "exit");
  other.kill("SIGKILL");
  await exited;
});

it("a kernel that refuses the calls gets nothing executed", async () => {
  // Fifteen rulesets are nested at most (landlock(7)): the seventeenth is refused.
  const once = landlockWords({ readOnly: ["/"], readWrite: [] });
  const nested = Array.from({ length: 17 }, () => once).flat();
  const { code, output, problem } = await run([...nested, "/bin/echo", "executed"], user);
  expect({ code, output }).toEqual({ code: 125, output: "" });
  expect(problem).toContain("Landlock does not restrict");
});
