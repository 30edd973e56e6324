import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../../src/lib/log.ts";
import { startRpc } from "../../src/rpc/door.ts";
import { call, callOnce, dnodeSession, RawSession, TestDoor } from "../support/rpc.ts";

let door: TestDoor;
let directory: string;
beforeAll(async () => {
  door = await TestDoor.start();
  directory = await mkdtemp(join(tmpdir(), "maestro-rpc-"));
});
afterAll(async () => {
  await door[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const loopback = { kind: "admin", via: "loopback" };

describe("a call by dnode 1.2.2", () => {
  it("is answered with the output", async () => {
    const { error, output } = await callOnce(door.address, "echo", { app: "hello" });
    expect(error).toBeNull();
    expect(output).toEqual({ input: { app: "hello" }, principal: loopback, streams: [] });
  });

  it("may leave the input out", async () => {
    const { output } = await callOnce(door.address, "echo");
    expect(output).toMatchObject({ input: {} });
  });

  it("is answered with code, message and details when it fails", async () => {
    const { error } = await callOnce(door.address, "fail", {});
    expect(error).toEqual({
      code: "APP_NOT_FOUND",
      message: "there is no app hello",
      details: { app: "hello" },
    });
  });

  it("gets the functions of its input called, and the operation gets the input without them", async () => {
    const { remote, end } = await dnodeSession(door.address);
    const steps: unknown[] = [];
    await call(remote, "progress", { onProgress: (step: unknown) => steps.push(step) });
    const { output } = await call(remote, "echo", { app: "a", onLine() {}, other() {} });
    end();
    expect(steps).toEqual([
      { step: "start", state: "began" },
      { step: "start", state: "done" },
    ]);
    expect(output).toMatchObject({ input: { app: "a" }, streams: ["onLine"] });
  });

  it("may use one function for many calls, one after the other and at once", async () => {
    const { remote, end } = await dnodeSession(door.address);
    const answers: unknown[] = [];
    await new Promise<void>((resolve) => {
      const same = (_: unknown, output: unknown) => {
        answers.push(output);
        if (answers.length === 30) resolve();
        else if (answers.length <= 20) remote["nothing"]?.({}, same);
      };
      for (let i = 0; i < 10; i++) remote["nothing"]?.({}, same);
    });
    end();
    expect(answers).toEqual(Array(30).fill(null));
  });

  it("without a function for the answer is carried out, and its failure logged", async () => {
    const { remote, end } = await dnodeSession(door.address);
    remote["fail"]?.({});
    await door.until("rpc.call.failed", ({ operation }) => operation === "fail");
    end();
  });

  it("ends its signal when the session ends, and what it tells then goes nowhere", async () => {
    const { remote, end } = await dnodeSession(door.address);
    remote["never"]?.({ onProgress() {} }, () => {});
    await door.until("test.never.began");
    end();
    await door.until("test.never.aborted");
    expect((await callOnce(door.address, "echo")).error).toBeNull();
  });

  it("gets an answer of many megabytes whole", async () => {
    const { output } = await callOnce(door.address, "large");
    expect(String(output)).toHaveLength(16 * 1024 * 1024);
  });
});

describe("the names of 2012", () => {
  it.each([
    [
      "restart",
      ["hello", "hello.test"],
      { name: "restart", input: { app: "hello", hostname: "hello.test" } },
    ],
    ["restart", ["hello"], { name: "restart", input: { app: "hello" } }],
    ["restart", [{ app: "hello", wait: true }], { name: "restart", input: { app: "hello", wait: true } }],
    ["restart_app", ["hello"], { name: "restart_app", input: { name: "hello" } }],
    [
      "register_app",
      [{ name: "hello", hostname: "h.test" }],
      { name: "register_app", input: { name: "hello", hostname: "h.test" } },
    ],
  ])("%s%j reaches its operation", async (method, args, input) => {
    const { error, output } = await callOnce(door.address, method, ...args);
    expect(error).toBeNull();
    expect(output).toMatchObject({ input });
  });

  it("are answered on the wire to dnode 0.9.11, in the lines that it was recorded to send", async () => {
    using session = await RawSession.open(door.address);
    session.send('{"method":"methods","arguments":[{}],"callbacks":{},"links":[]}');
    const greeting = await session.until("methods");
    const id = Object.keys(greeting.arguments[0] ?? {}).indexOf("restart_app");
    session.send(`{"method":${id},"arguments":["hello","[Function]"],"callbacks":{"1":["1"]},"links":[]}`);
    const answer = await session.until(1);
    expect(answer).toEqual({
      method: 1,
      arguments: [
        null,
        expect.objectContaining({ input: { name: "restart_app", input: { name: "hello" } } }),
      ],
      callbacks: {},
      links: [],
    });
  });
});

describe("an operation that misbehaves", () => {
  it.each([
    ["throws before it returns a promise", "throws", "Maestro failed: thrown, not rejected"],
    [
      "rejects with a value that is no text",
      "throws_odd",
      "Maestro failed with an error that cannot be shown",
    ],
    ["answers a BigInt", "bigint", "Maestro failed: Do not know how to serialize a BigInt"],
    ["answers a value that contains itself", "cycle", expect.stringContaining("circular")],
    ["answers a value that nests a hundred thousand deep", "deep", expect.any(String)],
    ["fails with details that cannot be sent", "fails_with_bigint", expect.any(String)],
  ])("and %s costs the caller an INTERNAL error, no more", async (_, method, message) => {
    const { remote, end } = await dnodeSession(door.address);
    expect((await call(remote, method, {})).error).toEqual({ code: "INTERNAL", message, details: {} });
    expect((await call(remote, "echo", {})).error).toBeNull();
    end();
  });

  it("and answers with a function gives nothing of ours away", async () => {
    expect((await callOnce(door.address, "gives_function")).output).toEqual({ kept: 1 });
  });
});

describe("the door", () => {
  it("answers on a unix socket that only its owner may open, to an admin", async () => {
    const unix = join(directory, "a.sock");
    await using both = await TestDoor.start({ unix });
    expect((await stat(unix)).mode & 0o777).toBe(0o600);
    const { output } = await callOnce(unix, "echo");
    expect(output).toMatchObject({ principal: { kind: "admin", via: "unix" } });
    expect((await callOnce(both.address, "echo")).output).toMatchObject({ principal: loopback });
  });

  it("takes over the socket file of a process that was killed, and removes its own when it ends", async () => {
    const unix = join(directory, "b.sock");
    const killed = await TestDoor.start({ unix });
    await killed.end("SIGKILL");
    await using next = await TestDoor.start({ unix });
    expect((await callOnce(unix, "echo")).error).toBeNull();
    await next.end("SIGTERM");
    expect(existsSync(unix)).toBe(false);
  });

  it("does not take the socket of another that answers", async () => {
    const unix = join(directory, "c.sock");
    await using _ = await TestDoor.start({ unix });
    await expect(start({ unix })).rejects.toMatchObject({ code: "BAD_INPUT" });
    expect((await callOnce(unix, "echo")).error).toBeNull();
  });

  it("says with the system's error that its port is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    await expect(start({ tcp: { host: "127.0.0.1", port } })).rejects.toMatchObject({ code: "EADDRINUSE" });
    taken.close();
  });

  it("ends with calls under way: they are aborted, and the process can go", async () => {
    await using ending = await TestDoor.start();
    using session = await RawSession.open(ending.address);
    session.send({ method: "never", arguments: [], callbacks: {}, links: [] });
    await ending.until("test.never.began");
    expect(await ending.end("SIGTERM")).toBe(0);
    await session.closed;
  });
});

function start(where: { unix?: string; tcp?: { host: string; port: number } }) {
  return startRpc({ ...where, operations: [], call: async () => {}, isAppUser: () => false, log: silentLog });
}
