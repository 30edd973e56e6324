import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { callOnce, RawSession, TestDoor } from "../support/rpc.ts";

let door: TestDoor;
beforeAll(async () => {
  // Without the deadline for the first call, so that nothing here ends because of it.
  door = await TestDoor.start({ limits: { firstCallMs: 600_000 } });
});
afterAll(() => door[Symbol.asyncDispose]());

/** What every attack is about: the next one who comes gets an answer, from the same process. */
afterEach(async () => {
  expect(door.isAlive).toBe(true);
  const { error, output } = await callOnce(door.address, "echo", { app: "honest" });
  expect(error).toBeNull();
  expect(output).toMatchObject({ input: { app: "honest" } });
});

const message = (fields: object) =>
  JSON.stringify({ method: "echo", arguments: [], callbacks: {}, links: [], ...fields });
const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

describe("a session ends after one line with", () => {
  it.each([
    ["null", "null"],
    ["a number", "1"],
    ["a text", '"hello"'],
    ["a list", "[]"],
    ["an empty object", "{}"],
    ["nothing in it", ""],
    ["broken JSON", '{"method":'],
    ["the request of a browser", "POST / HTTP/1.1\r"],
    ["a method that is null", message({ method: null })],
    ["a method that is an object", message({ method: { toString: "x" } })],
    ["a method that is negative", message({ method: -1 })],
    ["a method that is no whole number", message({ method: 1.5 })],
    ["arguments that are a text", message({ arguments: "abc" })],
    ["arguments with a huge length", message({ arguments: { length: 4294967295 } })],
    ["arguments without end", message({ arguments: Array(100_000).fill(0) })],
    ["callbacks that are a text", message({ callbacks: "abc" })],
    ["callbacks that are a list", message({ callbacks: [["0"]] })],
    ["a callback whose number is none", message({ callbacks: { x: ["0"] } })],
    ["a callback whose number is huge", message({ callbacks: { 4294967296: ["0"] } })],
    ["a callback whose path is a text", message({ callbacks: { 0: "0" } })],
    ["a callback whose path is null", message({ callbacks: { 0: null } })],
    ["a callback whose path is empty", message({ callbacks: { 0: [] } })],
    [
      "a callback whose path leads through null",
      message({ arguments: [null], callbacks: { 0: ["0", "x"] } }),
    ],
    [
      "a callback whose path leads through a text",
      message({ arguments: ["s"], callbacks: { 0: ["0", "x", "y"] } }),
    ],
    ["a callback whose path has an object in it", message({ arguments: [{}], callbacks: { 0: [{}, "x"] } })],
    ["a callback as the length of the arguments", message({ callbacks: { 0: ["length"] } })],
    ["a callback as a method of the arguments", message({ callbacks: { 0: ["map"] } })],
    ["a callback far beyond the arguments", message({ callbacks: { 0: ["4294967294"] } })],
    ["a path through __proto__", message({ arguments: [{}], callbacks: { 0: ["0", "__proto__", "then"] } })],
    [
      "a path through constructor",
      message({ arguments: [{}], callbacks: { 0: ["constructor", "prototype", "x"] } }),
    ],
    ["a path to prototype", message({ arguments: [{ prototype: 1 }], callbacks: { 0: ["0", "prototype"] } })],
    [
      "the key __proto__ in its input",
      '{"method":"echo","arguments":[{"a":[{"__proto__":{"admin":true}}]}]}',
    ],
    ["the key __proto__ beside its method", '{"__proto__":{"method":"echo"}}'],
    ["thousands of callbacks", message({ arguments: [{}], callbacks: callbacks(5000) })],
    [
      "two callbacks of which one lies in the other",
      message({ arguments: [{ name: 1 }, 0], callbacks: { 0: ["0"], 1: ["0", "name"] } }),
    ],
    [
      "a link that makes a value contain itself",
      message({ arguments: [{}], links: [{ from: ["0"], to: ["0", "a"] }] }),
    ],
    ["links that double a value again and again", message({ arguments: [{}], links: doublings(30) })],
    ["links that are null inside", message({ links: [null] })],
    ["deep nesting in the input", `{"method":"echo","arguments":[${nest(40)}]}`],
    ["half a megabyte of open brackets", nest(500_000)],
    ["deep nesting that hides behind texts", `{"method":"echo","arguments":["\\"]]]]",${nest(40)}]}`],
    ["more than a megabyte", message({ arguments: ["x".repeat(1024 * 1024)] })],
    ["bytes that are no text", Buffer.concat([randomBytes(5000), Buffer.from("\n")])],
  ])("%s", async (_, line) => {
    using session = await RawSession.open(door.address);
    session.send(line);
    await session.closed;
  });
});

describe("a session goes on after", () => {
  it.each([
    ["methods that are null", '{"method":"methods","arguments":[null]}'],
    ["no methods at all", '{"method":"methods"}'],
    [
      "methods with callbacks everywhere",
      message({ method: "methods", arguments: [{ a: 1 }], callbacks: { 0: ["0", "a"] } }),
    ],
    [
      "a cull of every method",
      message({ method: "cull", arguments: Array.from({ length: 60 }, (_, id) => id) }),
    ],
    ["a cull of nonsense", message({ method: "cull", arguments: [null, "__proto__", {}] })],
    ["a method of every object", message({ method: "hasOwnProperty" })],
    ["the method __proto__", message({ method: "__proto__" })],
    ["the method constructor", message({ method: "constructor", arguments: ["return process"] })],
    ["a method by a number that was never given", message({ method: 100_000 })],
    ["a call whose callback is missing", message({ method: "echo", arguments: [{}, "[Function]"] })],
    ["a failing call without a callback", message({ method: "throws" })],
    ["callbacks and links that are left out", '{"method":"nothing"}'],
    [
      "callbacks and links that are null",
      '{"method":"nothing","arguments":null,"callbacks":null,"links":null}',
    ],
    [
      "a function as name of an app",
      message({ method: "restart_app", arguments: ["f", "f"], callbacks: { 5: ["0"], 6: ["1"] } }),
    ],
    [
      "functions deep in the input",
      message({ arguments: [{ a: { b: 0 } }], callbacks: { 5: ["0", "a", "b"] } }),
    ],
  ])("%s", async (_, line) => {
    using session = await RawSession.open(door.address);
    session.send(line, { method: "echo", arguments: ["f"], callbacks: { 77: ["0"] }, links: [] });
    expect((await session.until(77)).arguments[0]).toBeNull();
  });
});

describe("whoever sends a wrong message", () => {
  it("is told what is wrong, where an answer was asked for", async () => {
    using session = await RawSession.open(door.address);
    session.send({ method: "echo", arguments: [{}, "f"], callbacks: { 3: ["1"] }, links: [null] });
    expect((await session.until(3)).arguments[0]).toMatchObject({ code: "BAD_INPUT" });
    await session.closed;
    await door.until("rpc.session.refused", ({ reason }) => String(reason).includes("contain themselves"));
  });

  it("is told by the method error otherwise", async () => {
    using session = await RawSession.open(door.address);
    session.send("null");
    expect((await session.until("error")).arguments[0]).toMatchObject({ code: "BAD_INPUT" });
  });

  it("is told which operation does not exist", async () => {
    using session = await RawSession.open(door.address);
    session.send({ method: "hasOwnProperty", arguments: ["f"], callbacks: { 3: ["0"] }, links: [] });
    expect((await session.until(3)).arguments[0]).toMatchObject({
      code: "BAD_INPUT",
      details: { operation: "hasOwnProperty" },
    });
  });

  it("has nothing done that stands behind it: a browser cannot smuggle a call", async () => {
    const before = Number((await callOnce(door.address, "dispatched")).output);
    using session = await RawSession.open(door.address);
    session.send(`POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n${message({})}\n${message({})}`);
    await session.closed;
    expect((await callOnce(door.address, "dispatched")).output).toBe(before + 1);
  });
});

describe("a flood of", () => {
  it("one endless line ends the session and is not kept", async () => {
    const before = await door.residentMiB();
    for (let i = 0; i < 20; i++) await pourUntilClosed(Buffer.alloc(1024 * 1024, "x"));
    expect((await door.residentMiB()) - before).toBeLessThan(150);
  });

  it("wrong lines ends the session at the first", async () => {
    await pourUntilClosed(Buffer.from("null\n".repeat(100_000)));
  });

  it("10,000 calls in one write gets an answer for each, done or BUSY", async () => {
    using session = await RawSession.open(door.address);
    const calls = Array.from({ length: 10_000 }, (_, id) =>
      message({ method: "nothing", arguments: [{}, "f"], callbacks: { [id]: ["1"] } }),
    );
    session.send(calls.join("\n"));
    const greetingAndAnswers = await session.received(10_001);
    expect(new Set(greetingAndAnswers.map(({ method }) => method)).size).toBe(10_001);
  });

  it("200,000 calls one after the other, each with functions, leaves no memory behind", async () => {
    using session = await RawSession.open(door.address);
    await callsInTurn(session, 0, 20_000);
    const resident = [await door.residentMiB()];
    for (const upTo of [80_000, 140_000, 200_000]) {
      await callsInTurn(session, upTo - 60_000, upTo);
      resident.push(await door.residentMiB());
    }
    // A heap may grow for once, where its collection has little time. What is left behind makes it grow each time.
    const growth = resident.slice(1).map((mib, index) => mib - (resident[index] ?? 0));
    expect(Math.min(...growth)).toBeLessThan(20);
  });

  it("calls that never end is answered BUSY beyond a number", async () => {
    using session = await RawSession.open(door.address);
    const calls = Array.from({ length: 300 }, (_, id) =>
      message({ method: "never", arguments: [{}, "f"], callbacks: { [id]: ["1"] } }),
    );
    session.send(calls.join("\n"));
    expect((await session.until(299)).arguments[0]).toMatchObject({ code: "BUSY" });
  });

  it("silent connections keeps nobody out", async () => {
    const silent = await Promise.all(Array.from({ length: 600 }, () => RawSession.open(door.address)));
    expect((await callOnce(door.address, "echo")).error).toBeNull();
    for (const session of silent) session[Symbol.dispose]();
  });

  it("connections that are cut at once, half of them in the middle of a line, leaves nothing open", async () => {
    for (let round = 0; round < 10; round++) {
      const cut = await Promise.all(Array.from({ length: 50 }, () => RawSession.open(door.address)));
      for (const [at, { socket }] of cut.entries()) {
        if (at % 2 === 0) socket.write('{"method":"echo","argu', () => socket.resetAndDestroy());
        else socket.resetAndDestroy();
      }
      await Promise.all(cut.map(({ closed }) => closed));
    }
  });
});

describe("a caller who is slow", () => {
  it("to read is cut off, and the operation that feeds it ends", async () => {
    using session = await RawSession.open(door.address, { reading: false });
    const before = await door.residentMiB();
    const since = door.log.length;
    session.send(
      message({ method: "logs", arguments: [{ onLine: "f" }], callbacks: { 0: ["0", "onLine"] } }),
    );
    await door.until("test.logs.aborted", () => true, since);
    expect((await door.residentMiB()) - before).toBeLessThan(150);
  });

  it("to read, and asks for large answers again and again, is cut off", async () => {
    using session = await RawSession.open(door.address, { reading: false });
    const since = door.log.length;
    const ask = message({ method: "large", arguments: ["f"], callbacks: { 0: ["0"] } });
    session.send(Array(20).fill(ask).join("\n"));
    await door.until("rpc.session.refused", ({ reason }) => reason === "reads too slowly", since);
  });

  it("to send its first call is cut off at the deadline", async () => {
    await using impatient = await TestDoor.start({ limits: { firstCallMs: 200 } });
    using session = await RawSession.open(impatient.address);
    session.send('{"method":"methods","arguments":[{}]}');
    expect((await session.until("error")).arguments[0]).toMatchObject({ code: "BAD_INPUT" });
    await session.closed;
  });

  it("after its first call is not", async () => {
    await using impatient = await TestDoor.start({ limits: { firstCallMs: 200 } });
    using proved = await RawSession.open(impatient.address);
    proved.send(message({ method: "nothing", arguments: ["f"], callbacks: { 0: ["0"] } }));
    await proved.until(0);
    using silent = await RawSession.open(impatient.address);
    await silent.closed; // Began later, and its deadline is over.
    proved.send(message({ method: "nothing", arguments: ["f"], callbacks: { 1: ["0"] } }));
    await proved.until(1);
  });

  it("but has its sessions counted: one too many is answered BUSY", async () => {
    await using small = await TestDoor.start({ limits: { sessions: 2 } });
    using first = await RawSession.open(small.address);
    using second = await RawSession.open(small.address);
    for (const session of [first, second]) {
      session.send(message({ method: "nothing", arguments: ["f"], callbacks: { 0: ["0"] } }));
      await session.until(0);
    }
    using third = await RawSession.open(small.address);
    expect((await third.until("error")).arguments[0]).toMatchObject({ code: "BUSY" });
  });
});

function callbacks(count: number): Record<number, string[]> {
  return Object.fromEntries(Array.from({ length: count }, (_, id) => [id, ["0"]]));
}

function doublings(count: number): object[] {
  return Array.from({ length: count }, (_, at) => ({ from: ["0"], to: ["0", `a${at}`] }));
}

async function pourUntilClosed(bytes: Buffer): Promise<void> {
  using session = await RawSession.open(door.address);
  let isOpen = true;
  void session.closed.then(() => {
    isOpen = false;
  });
  while (isOpen) {
    if (!session.socket.write(bytes)) await Promise.race([session.closed, once(session.socket, "drain")]);
  }
}

/** A hundred at a time, so that none is BUSY. Ids grow, as those of dnode do. */
async function callsInTurn(session: RawSession, from: number, to: number): Promise<void> {
  for (let id = from; id < to; id += 200) {
    const calls = Array.from({ length: 100 }, (_, at) =>
      message({
        method: "nothing",
        arguments: [{ onLine: "f" }, "f"],
        callbacks: { [id + 2 * at]: ["0", "onLine"], [id + 2 * at + 1]: ["1"] },
      }),
    );
    session.send(calls.join("\n"));
    await session.until(id + 199);
    session.forget();
  }
}
