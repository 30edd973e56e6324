import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, it } from "vitest";
import { listProcesses, readProcess } from "../../src/lib/processes.ts";
import { isRoot, someUser } from "../support/apprunner.ts";
import { begin, finish, forgetPrograms, gone, TypedProgram } from "../support/one-off.ts";

/** Prints the pid of a process that leaves the session and its parent, and would live on. */
const orphan = "(setsid sleep 1000 & echo $!)";

afterAll(forgetPrograms);

describe("a one-off program", () => {
  it("keeps its outputs apart, reads to the end of its input, and tells its exit code", async () => {
    const program = await begin(["sh", "-c", "cat; echo wrong >&2; exit 7"]);
    await program.write(Buffer.from("hello\n"));
    program.endInput();
    expect(await finish(program)).toEqual({
      exit: { code: 7, signal: null },
      stdout: "hello\n",
      stderr: "wrong\n",
    });
  });

  it("can open its outputs by name", async () => {
    const words = "echo out >/dev/stdout; echo err >/dev/stderr";
    const program = await begin(["sh", "-c", words], { user: someUser });
    expect(await finish(program)).toEqual({
      exit: { code: 0, signal: null },
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  it("hands on every byte, however much is written at the last moment", async () => {
    const program = await begin(["sh", "-c", "head -c 1000000 /dev/zero"]);
    expect((await finish(program)).stdout).toHaveLength(1_000_000);
  });

  it("that does not exist ends with 127 and says so", async () => {
    const program = await begin(["no-such-program"]);
    expect(await finish(program)).toMatchObject({
      exit: { code: 127 },
      stderr: expect.stringContaining("no-such-program: not found"),
    });
  });

  it("tells by which signal it ended", async () => {
    const program = await begin(["sh", "-c", "kill -KILL $$"]);
    expect(await program.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("takes all that it has started with it, orphans of other sessions included", async () => {
    const program = await begin(["sh", "-c", orphan]);
    const { stdout } = await finish(program);
    expect(readProcess(Number(stdout))).toBeNull();
  });

  it("is ended with its orphans by kill", async () => {
    const program = await begin(["sh", "-c", `${orphan}; trap '' TERM HUP; while :; do sleep 1000; done`]);
    const [pid] = await once(createInterface({ input: program.stdout }), "line");
    await program.kill();
    expect(await program.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(readProcess(Number(pid))).toBeNull();
    expect(readProcess(program.pid)).toBeNull();
  });

  it("gets a signal with all of its group", async () => {
    const program = await begin([
      "sh",
      "-c",
      "trap 'echo stopped; exit 3' INT; echo ready; while :; do sleep 0.1; done",
    ]);
    const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
    await lines.next();
    program.signal("SIGINT");
    expect((await lines.next()).value).toBe("stopped");
    expect(await program.exited).toEqual({ code: 3, signal: null });
  });

  it("ends when its shim is killed", async () => {
    const program = await begin(["sh", "-c", "echo ready; sleep 1000"]);
    await once(createInterface({ input: program.stdout }), "line");
    const shim = readProcess(program.pid)?.parent ?? 0;
    const session = listProcesses().filter((process) => process.session === program.pid);
    process.kill(shim, "SIGKILL");
    expect(await program.exited).toEqual({ code: null, signal: null });
    expect(session.filter(({ pid }) => readProcess(pid) !== null)).toEqual([]);
  });

  it("ends with its orphans when the controller is killed", async () => {
    const entry = join(import.meta.dirname, "one-off.fixture.ts");
    const command = ["sh", "-c", `${orphan}; echo $$; sleep 1000`];
    const controller = spawn(process.execPath, [entry, ...command], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: controller.stdout })[Symbol.asyncIterator]();
    const pids = [Number((await lines.next()).value), Number((await lines.next()).value)];
    expect(pids.filter((pid) => readProcess(pid) === null)).toEqual([]);
    controller.kill("SIGKILL");
    await Promise.all(pids.map(gone));
  });
});

describe("a one-off program in a terminal", () => {
  it("has a terminal of its size, and learns of another one", async () => {
    const shell = await TypedProgram.start(["sh"]);
    shell.type("stty size; tty; trap 'stty size' WINCH\n");
    await shell.shows(/20 90\r\n\/dev\/pts\/\d+\r\n/);
    shell.type('echo se""t\n');
    await shell.shows(/set/);
    shell.program.resize({ columns: 70, rows: 15 });
    shell.type("\n");
    await shell.shows(/15 70\r\n/);
    shell.type("exit 7\n");
    expect(await shell.program.exited).toEqual({ code: 7, signal: null });
  });

  it("is interrupted by Ctrl-C in the foreground, stopped by Ctrl-Z, and goes on by fg", async () => {
    const shell = await TypedProgram.start(["bash", "--norc", "--noprofile", "-i"]);
    await shell.shows(/[$#] $/);
    shell.type(
      `perl -e '$SIG{CONT} = sub { print "again\\n" }; $| = 1; print "ready\\n"; sleep 9 while 1'\n`,
    );
    await shell.shows(/ready\r\n/);
    shell.type("\u001a");
    await shell.shows(/Stopped[\s\S]*[$#] $/);
    shell.type("fg\n");
    await shell.shows(/again\r\n/);
    shell.type("\u0003");
    await shell.shows(/[$#] $/);
    shell.type("echo it was $?\n");
    await shell.shows(/it was 130/);
    shell.type("exit 0\n");
    expect(await shell.program.exited).toEqual({ code: 0, signal: null });
  });

  it.runIf(isRoot)("owns its terminal, and can open it by name", async () => {
    const shell = await TypedProgram.start(["sh"], { user: someUser });
    shell.type('echo named > "$(tty)"; id -u\n');
    await shell.shows(/named\r\n/);
    await shell.shows(new RegExp(`${someUser?.uid}\\r`));
    await shell.program.kill();
  });

  it("is told that the terminal is gone", async () => {
    const shell = await TypedProgram.start([
      "sh",
      "-c",
      "trap 'echo by''e; exit 5' HUP; echo ready; while :; do sleep 0.1; done",
    ]);
    await shell.shows(/ready/);
    shell.program.signal("SIGHUP");
    await shell.shows(/bye/);
    expect(await shell.program.exited).toEqual({ code: 5, signal: null });
  });
});
