import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { RawClient, send, TestUpstream, TestWorker } from "../support/proxy.ts";

let worker: TestWorker;
beforeAll(async () => {
  worker = await TestWorker.start({ answerMs: 2000 });
});
afterAll(() => worker[Symbol.asyncDispose]());

const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const handshake = `${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
const none = { requestsMs: 20_000, streamsMs: 20_000 };

/** An app at `NAME.test` that sends back what it is sent. */
async function echoApp(name: string): Promise<TestUpstream> {
  const upstream = await TestUpstream.start(name);
  const sockets = new WebSocketServer({ server: upstream.server });
  sockets.on("connection", (socket, request) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("error", () => {}); // A client that is gone.
    upstream.requests.push(request);
  });
  await worker.route(name, [upstream]);
  return upstream;
}

async function open(host: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${worker.port}/chat//x?y`, { headers: { host } });
  await once(socket, "open");
  return socket;
}

describe("a WebSocket", () => {
  it("carries messages of every size, both ways", async () => {
    await using upstream = await echoApp("echo");
    const socket = await open("echo.test");
    for (const size of [0, 1, 125, 126, 65_536, 1_000_000]) {
      const sent = Buffer.alloc(size, "x");
      const answer = once(socket, "message");
      socket.send(sent);
      const [received] = (await answer) as [Buffer];
      expect(received.equals(sent), `${size} bytes`).toBe(true);
    }
    const { url, headers } = upstream.requests[0] ?? {};
    expect(url).toBe("/chat//x?y");
    expect(headers).toMatchObject({ host: "echo.test", "x-forwarded-for": "127.0.0.1" });
    socket.close(1000, "done");
    expect(await once(socket, "close")).toEqual([1000, Buffer.from("done")]);
  });

  it("is under way as a stream for as long as it is open", async () => {
    await using _app = await echoApp("count");
    const socket = await open("count.test");
    const { inFlight } = await worker.control.ask("status", {});
    expect(inFlight["count"]).toEqual({ requests: 0, streams: 1 });
    const limits = { requestsMs: 0, streamsMs: 0 };
    expect(await worker.control.ask("drain", { instance: "count", ...limits })).toEqual({
      requests: 0,
      streams: 1,
    });
    const drained = worker.control.ask("drain", { instance: "count", ...none });
    socket.close();
    expect(await drained).toEqual({ requests: 0, streams: 0 });
  });

  it("survives its hostname's going elsewhere", async () => {
    await using _old = await echoApp("move");
    const socket = await open("move.test");
    await using fresh = await TestUpstream.start("move.2");
    await worker.route("move", [fresh]);
    const answer = once(socket, "message");
    socket.send("still here?");
    expect(String((await answer)[0])).toBe("still here?");
    socket.terminate();
  });

  it("gets what the client sent along with its request", async () => {
    const came = Promise.withResolvers<string>();
    await using upstream = await TestUpstream.start("eager");
    upstream.server.on("upgrade", (_request, socket: Socket, head: Buffer) => {
      let text = head.toString();
      const look = (): void => {
        if (text.includes("early")) came.resolve(text);
      };
      socket.on("data", (chunk) => {
        text += chunk;
        look();
      });
      socket.end(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
      );
      look();
    });
    await worker.route("eager", [upstream]);
    const client = new RawClient(worker.port);
    client.write(`GET / HTTP/1.1\r\nHost: eager.test\r\n${handshake}\r\nearly`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 101 [\s\S]*\r\n\r\nhello$/);
    expect(await came.promise).toBe("early");
  });

  it("ends on one side when the other dies, and takes nothing with it", async () => {
    const sides: Socket[] = [];
    const upgraded: (() => void)[] = [];
    await using upstream = await TestUpstream.start("die");
    upstream.server.on("upgrade", (_request, socket: Socket) => {
      socket.on("error", () => {}).on("end", () => socket.end());
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      sides.push(socket);
      upgraded.shift()?.();
    });
    await worker.route("die", [upstream]);
    const tunnel = async (): Promise<[RawClient, Socket]> => {
      const here = new Promise<void>((resolve) => upgraded.push(resolve));
      const client = new RawClient(worker.port);
      client.write(`GET / HTTP/1.1\r\nHost: die.test\r\n${handshake}\r\n`);
      await Promise.all([client.until("\r\n\r\n"), here]);
      const side = sides.at(-1);
      if (!side) throw new Error("no upgrade came");
      return [client, side];
    };
    const [first, firstSide] = await tunnel();
    firstSide.resetAndDestroy();
    await first.untilClosed();
    const [second, secondSide] = await tunnel();
    const ended = once(secondSide.resume(), "close");
    second.socket.resetAndDestroy();
    await ended;
    expect(await worker.control.ask("drain", { instance: "die", ...none })).toEqual({
      requests: 0,
      streams: 0,
    });
  });
});

describe("an upgrade that does not come about", () => {
  it.each([
    ["with a length", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", /\r\n\r\nno$/],
    [
      "in chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
      /2\r\nno\r\n0\r\n\r\n$/,
    ],
  ])("passes on the app's answer %s and closes the connection", async (_form, answer, expected) => {
    const server = createServer((socket) =>
      socket.on("error", () => {}).once("data", () => socket.end(answer)),
    );
    await once(server.listen(0, "127.0.0.1"), "listening");
    await worker.route("no", [{ instance: "no", port: (server.address() as { port: number }).port }]);
    const client = new RawClient(worker.port);
    const received = await client.write(`GET / HTTP/1.1\r\nHost: no.test\r\n${handshake}\r\n`).untilClosed();
    expect(received).toMatch(/^HTTP\/1\.1 (403|200) [\s\S]*connection: close\r\n/i);
    expect(received).toMatch(expected);
    await once(server.close(), "close");
  });

  it("does not end the worker when the client resets while it is refused", async () => {
    const came = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    await using upstream = await TestUpstream.start("reset");
    upstream.server.on("upgrade", (_request, socket: Socket) => {
      socket.on("error", () => {}).on("end", () => socket.end());
      socket.once("close", gone.resolve).resume();
      came.resolve();
    });
    await worker.route("reset", [upstream]);
    const client = new RawClient(worker.port);
    client.write(`GET / HTTP/1.1\r\nHost: reset.test\r\n${handshake}\r\n`);
    await came.promise;
    client.socket.resetAndDestroy();
    await gone.promise;
    expect((await send(worker.port, "nobody.test")).status).toBe(404);
  });

  it("is 404 for an unknown host, 400 for an ambiguous head, 502 and 504 for an app that fails", async () => {
    await using broken = await TestUpstream.start("broken");
    broken.server.on("upgrade", (request, socket) => request.url === "/break" && socket.destroy());
    await worker.route("broken", [broken]);
    const ask = (path: string, headers: string): Promise<string> =>
      new RawClient(worker.port).write(`GET ${path} HTTP/1.1\r\n${headers}${handshake}\r\n`).untilClosed();
    expect(await ask("/", "Host: nobody.test\r\n")).toMatch(
      /^HTTP\/1\.1 404 [\s\S]*host 'nobody\.test' not found/,
    );
    expect(await ask("/", "Host: broken.test\r\nHost: x\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect(await ask("/break", "Host: broken.test\r\n")).toMatch(/^HTTP\/1\.1 502 /);
    expect(await ask("/wait", "Host: broken.test\r\n")).toMatch(/^HTTP\/1\.1 504 /);
  });

  it("is a plain request when it has a body, or is for h2c", async () => {
    await using upstream = await TestUpstream.start("plain");
    await worker.route("plain", [upstream]);
    const ask = (head: string): Promise<string> => new RawClient(worker.port).write(head).untilClosed();
    const body = `POST / HTTP/1.1\r\nHost: plain.test\r\n${upgrade}Content-Length: 1\r\nConnection: close\r\n\r\nx`;
    expect(await ask(body)).toMatch(/^HTTP\/1\.1 200 [\s\S]*plain$/);
    const h2c =
      "GET / HTTP/1.1\r\nHost: plain.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n";
    expect(await ask(h2c)).toMatch(/^HTTP\/1\.1 200 [\s\S]*plain$/);
    for (const { headers } of upstream.requests) {
      expect([headers.upgrade, headers["http2-settings"]]).toEqual([undefined, undefined]);
    }
  });

  it("waits for an app that is starting", async () => {
    await worker.route("start", [], { state: "starting" });
    const opened = open("start.test");
    await send(worker.port, "nobody.test");
    await using _app = await echoApp("start");
    (await opened).terminate();
  });
});
