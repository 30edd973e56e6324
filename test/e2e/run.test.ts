import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buffer, text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../sdk/client.ts";
import { run } from "../../sdk/run.ts";
import { isRoot } from "../support/apprunner.ts";
import { fetchFrom } from "../support/load.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";
import { forgetPrograms, Orphan, TypedProgram } from "../support/one-off.ts";
import { call, dnodeSession } from "../support/rpc.ts";

const entry = join(repository, "bin/maestro.ts");
let maestro: TestMaestro;
beforeAll(async () => {
  maestro = await TestMaestro.start("--stop-grace", "5", "--warm", "0");
  await maestro.deploy("shop", fixture("traffic"));
});
afterAll(async () => {
  await maestro[Symbol.asyncDispose]();
  await forgetPrograms();
});

/** The command as people type it. */
function start(...words: string[]) {
  const { MAESTRO_SERVER: _, ...env } = process.env;
  const args = [entry, "--server", maestro.rpc, "run", ...words];
  return spawn(process.execPath, args, { env, stdio: ["pipe", "pipe", "pipe"] });
}

async function typed(input: string | Uint8Array, ...words: string[]) {
  const child = start(...words);
  const output = Promise.all([buffer(child.stdout), text(child.stderr)]);
  child.stdin.end(input);
  const [code] = await once(child, "close");
  const [stdout, stderr] = await output;
  return { code, stdout: stdout.toString("latin1"), stderr };
}

const ps = async () => (await maestro.client()).call("ps", { app: "shop" });
const isRun = ({ instance }: { instance: string }) => instance.startsWith("run.");
const firstLines = (child: ReturnType<typeof start>) =>
  createInterface({ input: child.stdout })[Symbol.asyncIterator]();

describe("maestro run", () => {
  it("runs a program with the files, the user and the environment of an instance, and its exit code", async () => {
    const script =
      "console.log(JSON.stringify([process.cwd(), process.getuid(), process.env])); process.exit(7)";
    const { code, stdout, stderr } = await typed("", "shop", "node", "-e", script);
    expect({ code, stderr }).toEqual({ code: 7, stderr: "" });
    const [directory, uid, env] = JSON.parse(stdout);
    const { isolation } = await (await maestro.client()).call("status", {});
    const isInside = isolation.level === "full" || isolation.level === "userns";
    expect(directory).toBe(isInside ? "/app" : join(maestro.home, "apps/shop/releases/v1"));
    if (isRoot) expect(uid).toBeGreaterThan(1000);
    expect(env).toMatchObject({ MAESTRO_APP: "shop", MAESTRO_RELEASE: "v1", MAESTRO_INSTANCE: "run.1" });
    expect(Object.keys(env)).not.toContain("PORT");
    expect(Object.keys(env).filter((name) => name.startsWith("APPRUNNER"))).toEqual([]);
  });

  it("carries any bytes both ways to the end, and keeps the outputs apart", async () => {
    const bytes = randomBytes(700_000);
    const { code, stdout, stderr } = await typed(bytes, "shop", "--", "sh", "-c", "cat; echo wrong >&2");
    expect({ code, stderr, same: stdout === bytes.toString("latin1") }).toEqual({
      code: 0,
      stderr: "wrong\n",
      same: true,
    });
  });

  it("leaves what follows the program to the program", async () => {
    const words = ["sh", "-c", 'echo "$@"', "sh", "--json", "-h", "--", "--server"];
    expect(await typed("", "shop", ...words)).toMatchObject({ code: 0, stdout: "--json -h -- --server\n" });
  });

  it("tells why it cannot run anything", async () => {
    expect(await typed("", "nobody", "true")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nobody"),
    });
    await maestro.send("empty", fixture("traffic"));
    expect(await typed("", "empty", "true")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("empty has no release yet"),
    });
    expect(await typed("", "shop", "no-such-program")).toMatchObject({ code: 127 });
  });

  it("ends quietly when its reader goes away, and the program with it", async () => {
    const since = maestro.logLength;
    const child = start("shop", "yes");
    await once(child.stdout, "data");
    child.stdout.destroy();
    expect(await once(child, "close")).toEqual([0, null]);
    await maestro.until("run.ended", () => true, since);
  });

  it("passes the first Ctrl-C on to the program, and leaves by the second", async () => {
    const since = maestro.logLength;
    const polite = start("shop", "sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done");
    await firstLines(polite).next();
    polite.kill("SIGINT");
    expect(await once(polite, "close")).toEqual([9, null]);

    const ignoring =
      "process.on('SIGINT', () => console.log('no')); setInterval(() => {}, 1e6); console.log('ready')";
    const deaf = start("shop", "node", "-e", ignoring);
    const lines = firstLines(deaf);
    await lines.next();
    deaf.kill("SIGINT");
    expect((await lines.next()).value).toBe("no");
    deaf.kill("SIGINT");
    expect(await once(deaf, "close")).toEqual([130, null]);
    await maestro.until("run.ended", ({ reason }) => reason === "its caller is gone", since);
  });

  it("ends all that the program has started when the caller is killed", async () => {
    const orphan = new Orphan();
    const child = start("shop", "sh", "-c", `${orphan.line}; trap '' TERM; while :; do sleep 1; done`);
    await orphan.started();
    child.kill("SIGKILL");
    await orphan.gone();
  });

  it("is no instance: it shows in ps, gets no traffic, does not hold up a deploy, and keeps its release", async () => {
    const child = start("shop", "sh", "-c", "echo ready; cat version.js; read line; cat version.js");
    const lines = firstLines(child);
    await lines.next();
    const before = (await lines.next()).value;
    expect((await ps()).find(isRun)).toMatchObject({ instance: "run.1", state: "running", port: null });
    for (let version = 2; version <= 9; version++) {
      await maestro.change("shop", { "version.js": `export const version = "v${version}";\n` });
      expect((await fetchFrom(maestro.httpPort, "shop.test")).status).toBe(200);
    }
    await maestro.until("app.settled", ({ release }) => release === 9);
    const { release } = (await ps()).find(isRun) ?? {};
    const files = join(maestro.home, "apps/shop/releases");
    expect(release).toBe(1);
    expect([existsSync(join(files, "v1")), existsSync(join(files, "v2"))]).toEqual([true, false]);
    child.stdin.end("\n");
    expect((await lines.next()).value).toBe(before);
    expect(await once(child, "close")).toEqual([0, null]);
  });

  it("is ended by a stop of its app, and says so", async () => {
    const orphan = new Orphan();
    const child = start("shop", "sh", "-c", `${orphan.line}; sleep 1000`);
    await orphan.started();
    const errors = text(child.stderr);
    const closed = once(child, "close");
    await (await maestro.client()).call("stop", { app: "shop" });
    expect(orphan.pids()).toEqual([]);
    expect(await closed).toEqual([143, null]);
    expect(await errors).toBe("maestro: shop was stopped, and the program with it\n");
    expect(await typed("", "shop", "echo", "still there")).toMatchObject({
      code: 0,
      stdout: "still there\n",
    });
    await (await maestro.client()).call("restart", { app: "shop" });
  });

  it("ends with the controller, however that ends, and the next one starts it no more", async () => {
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      const orphan = new Orphan();
      const child = start("shop", "sh", "-c", `${orphan.line}; sleep 1000`);
      const closed = once(child, "close");
      await orphan.started();
      await maestro.end(signal);
      await orphan.gone();
      expect((await closed)[0]).toBe(signal === "SIGKILL" ? 1 : 143);
      await maestro.serve();
      expect((await ps()).filter(isRun)).toEqual([]);
    }
  });
});

describe("maestro run in a terminal", () => {
  /** The command in a terminal, started by a shell that then tells how it finds that terminal. */
  const inTerminal = (...words: string[]) => {
    const command = [process.execPath, entry, "--server", maestro.rpc, "run", ...words];
    const shell = '"$@"; code=$?; stty -a | grep -ow -- "-*icanon"; exit $code';
    return TypedProgram.start(["sh", "-c", shell, "sh", ...command]);
  };

  it("is a terminal of the same size, which follows, and the caller's is as before at the end", async () => {
    const script = [
      "const size = () => [process.stdout.columns, process.stdout.rows].join('x')",
      "process.stdout.on('resize', () => console.log('now', size()))",
      "process.stdin.on('data', () => process.exit(7))",
      "console.log(size(), process.env.TERM)",
    ];
    const shell = await inTerminal("shop", "node", "-e", script.join(";"));
    await shell.shows(/90x20 xterm\r\n/);
    shell.program.resize({ columns: 70, rows: 15 });
    await shell.shows(/now 70x15\r\n/);
    shell.type("\n");
    await shell.shows(/(?<!-)icanon/);
    expect(await shell.program.exited).toEqual({ code: 7, signal: null });
  });

  it("interrupts the program by Ctrl-C, and not the command", async () => {
    const shell = await inTerminal(
      "shop",
      "sh",
      "-c",
      "trap 'echo by\"\"e; exit 5' INT; echo ready; while :; do sleep 0.1; done",
    );
    await shell.shows(/ready/);
    shell.type("\u0003");
    await shell.shows(/bye[\s\S]*(?<!-)icanon/);
    expect(await shell.program.exited).toEqual({ code: 5, signal: null });
  });

  it("leaves the terminal as it was when the controller is gone", async () => {
    const shell = await inTerminal("shop", "sh", "-c", "echo ready; sleep 1000");
    await shell.shows(/ready/);
    await maestro.end("SIGKILL");
    await shell.shows(/run\.1 of shop is ended with it\s+icanon/);
    expect(await shell.program.exited).toEqual({ code: 1, signal: null });
    await maestro.serve();
  });

  it("ends the program when the terminal is closed", async () => {
    const orphan = new Orphan();
    const shell = await inTerminal("shop", "sh", "-c", `trap '' HUP; ${orphan.line}; echo ready; sleep 1000`);
    await shell.shows(/ready/);
    await orphan.started();
    await shell.program.kill();
    await orphan.gone();
  });
});

describe("the calls behind maestro run", () => {
  it("hold a program back whose caller does not take its output", async () => {
    const { remote, end } = await dnodeSession(maestro.rpc);
    let bytes = 0;
    let run = "";
    const { promise: full, resolve: isFull } = Promise.withResolvers<void>();
    const { promise: more, resolve: isMore } = Promise.withResolvers<void>();
    const command = ["head", "-c", "50000000", "/dev/zero"];
    const onStarted = (started: { run: string }) => {
      run = started.run;
    };
    const onOutput = (output: { bytes: string }) => {
      bytes += Buffer.from(output.bytes, "base64").length;
      if (bytes >= 128 * 1024) isFull();
      if (bytes > 256 * 1024) isMore();
    };
    remote["run"]?.({ app: "shop", command, onStarted, onOutput }, () => {});
    await full;
    for (let turn = 0; turn < 20; turn++) await call(remote, "ps", { app: "shop" });
    expect(bytes).toBeLessThan(192 * 1024);
    await call(remote, "run_taken", { app: "shop", run, bytes: 128 * 1024 });
    await call(remote, "run_taken", { app: "shop", run, bytes: 1e9 });
    await more;
    end();
  });

  it("are for the session alone that has started the program", async () => {
    const mine = await connect({ server: maestro.rpc });
    let run = "";
    const started = Promise.withResolvers<void>();
    const outcome = mine.call(
      "run",
      { app: "shop", command: ["cat"] },
      {
        onStarted(is) {
          run = is.run;
          started.resolve();
        },
      },
    );
    await started.promise;
    const other = await maestro.client();
    const refused = { code: "BAD_INPUT", message: expect.stringContaining("in this session") };
    await expect(other.call("run_input", { app: "shop", run, end: true })).rejects.toMatchObject(refused);
    await expect(other.call("run_signal", { app: "shop", run, signal: "SIGKILL" })).rejects.toMatchObject(
      refused,
    );
    await mine.call("run_input", { app: "shop", run, end: true });
    expect(await outcome).toEqual({ exitCode: 0, signal: null });
    mine.close();
  });

  it("refuse input without end from a caller who does not wait", async () => {
    const mine = await connect({ server: maestro.rpc });
    const { promise, resolve } = Promise.withResolvers<string>();
    const command = ["sleep", "1000"];
    const outcome = mine.call("run", { app: "shop", command }, { onStarted: ({ run }) => resolve(run) });
    const run = await promise;
    const bytes = Buffer.alloc(96 * 1024).toString("base64");
    const calls = Array.from({ length: 40 }, () => mine.call("run_input", { app: "shop", run, bytes }));
    await expect(Promise.all(calls)).rejects.toMatchObject({ code: "BUSY" });
    void Promise.allSettled(calls);
    await mine.call("run_signal", { app: "shop", run, signal: "SIGKILL" });
    expect(await outcome).toEqual({ exitCode: null, signal: "SIGKILL" });
    mine.close();
  });

  it("are one function for programs", async () => {
    const client = await maestro.client();
    let seen = "";
    const outcome = await run({
      client,
      app: "shop",
      command: ["sh", "-c", "read line; echo $line; kill -TERM $$"],
      input: (async function* () {
        yield "hello\n";
      })(),
      onOutput: ({ bytes }) => {
        seen += Buffer.from(bytes).toString();
      },
    });
    expect({ seen, outcome }).toEqual({ seen: "hello\n", outcome: { exitCode: null, signal: "SIGTERM" } });
  });
});
