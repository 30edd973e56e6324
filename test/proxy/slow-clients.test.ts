import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { converse, RawApp, TestPlane } from "../support/plane.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n";

let app: RawApp;
beforeAll(async () => {
  app = await RawApp.start((socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
});
afterAll(() => app[Symbol.asyncDispose]());

async function open(port: number, text: string): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  if (text !== "") socket.write(text);
  return socket;
}

describe("clients that send their heads slowly", () => {
  it("keep nobody else from being served, 2,000 of them", async () => {
    await using plane = await TestPlane.start();
    plane.route("a", app.port);
    const slow: Socket[] = [];
    while (slow.length < 2000) {
      slow.push(
        ...(await Promise.all(Array.from({ length: 100 }, () => open(plane.port, `${get}X-Slow: `)))),
      );
    }
    for (let round = 0; round < 5; round += 1) {
      for (const socket of slow) socket.write("x");
      const honest = Array.from({ length: 20 }, () =>
        converse(plane.port, [`${get}Connection: close\r\n\r\n`]),
      );
      for (const answer of await Promise.all(honest)) expect(answer).toMatch(/ok$/);
    }
    expect(plane.plane.status().connections).toBeGreaterThanOrEqual(2000);
    for (const socket of slow) socket.destroy();
  });
});

describe("a client that takes its time", () => {
  // Only what the deadlines are counted by: sockets go on in real time.
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
  afterEach(() => void vi.useRealTimers());

  it("gets 408 when its head has not come in 20 s, however it trickles in", async () => {
    await using plane = await TestPlane.start();
    const socket = await open(plane.port, get);
    const answered = once(socket, "data") as Promise<[Buffer]>;
    for (let second = 0; second < 22; second += 1) {
      socket.write(`X-${second}: y\r\n`);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      vi.advanceTimersByTime(1000);
    }
    expect(String((await answered)[0])).toMatch(
      /^HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*Connection: close\r\n/,
    );
  });

  it("is let go without an answer when it has asked nothing for 75 s, and not before", async () => {
    await using plane = await TestPlane.start();
    const socket = await open(plane.port, "");
    while (plane.plane.status().connections === 0) await new Promise(setImmediate);
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk;
    });
    vi.advanceTimersByTime(74_000);
    expect(plane.plane.status().connections).toBe(1);
    const ended = once(socket, "end");
    vi.advanceTimersByTime(2000);
    await ended;
    expect(received).toBe("");
    socket.destroy();
  });
});
