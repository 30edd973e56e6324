import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freeze } from "../support/chaos-processes.ts";
import { deadUpstream, RawClient, send, TestUpstream, TestWorker, textOf } from "../support/proxy.ts";

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

let worker: TestWorker;
beforeAll(async () => {
  worker = await TestWorker.start({ answerMs: 2000 });
});
afterAll(() => worker[Symbol.asyncDispose]());

/** An app for one test, at `NAME.test`. */
async function app(name: string, listener?: Listener): Promise<TestUpstream> {
  const upstream = await TestUpstream.start(name, listener);
  await worker.route(name, [upstream]);
  return upstream;
}

/** An app that writes every byte of its answers itself. */
async function rawApp(
  name: string,
  onData: (socket: Socket, text: string) => void,
): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => onData(socket, chunk.toString("latin1")));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  await worker.route(name, [{ instance: name, port }]);
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
}

describe("an unknown hostname", () => {
  it("is told as it was sent", async () => {
    const { status, headers, body } = await send(worker.port, "Nobody.Test:80");
    expect({ status, body }).toEqual({
      status: 404,
      body: "host 'Nobody.Test:80' not found on this server.",
    });
    expect(headers["content-type"]).toMatch(/^text\/plain/);
  });

  it("answers a load balancer's check", async () => {
    const { status, body } = await send(worker.port, "nobody.test", { path: "/_ping_" });
    expect({ status, body }).toEqual({ status: 200, body: "pong" });
  });

  it("leaves that path to the app where there is one", async () => {
    await using _app = await app("ping");
    expect((await send(worker.port, "ping.test", { path: "/_ping_" })).body).toBe("ping");
  });
});

describe("the headers that an app gets", () => {
  const seen = async (headers: Record<string, string | string[]>): Promise<IncomingMessage> => {
    await using upstream = await app("seen");
    await send(worker.port, "seen.test", { headers });
    const [request] = upstream.requests;
    if (!request) throw new Error("nothing came");
    return request;
  };

  it("say who the client is, whatever the client says", async () => {
    const { headers } = await seen({
      "X-Forwarded-For": "6.6.6.6",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "evil.test",
      "X-Forwarded-Port": "1",
      Forwarded: "for=6.6.6.6",
    });
    expect(headers).toMatchObject({
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "seen.test",
      "x-forwarded-port": String(worker.port),
    });
    expect(headers.forwarded).toBeUndefined();
  });

  it("leave out what is between neighbours, and what Connection names", async () => {
    const { headers } = await seen({
      Connection: "close, X-Secret",
      "X-Secret": "1",
      "Keep-Alive": "timeout=5",
      TE: "trailers",
      "Proxy-Authorization": "Basic x",
      "X-Kept": "1",
    });
    expect(headers["x-kept"]).toBe("1");
    for (const name of ["x-secret", "keep-alive", "te", "proxy-authorization"]) {
      expect(headers[name], name).toBeUndefined();
    }
  });

  it("keep what comes more than once, and names that mean something to JavaScript", async () => {
    const request = await seen({ "X-Many": ["1", "2"], Cookie: ["a=1", "b=2"], constructor: "x" });
    expect(request.headersDistinct["x-many"]).toEqual(["1", "2"]);
    expect(request.headers.cookie).toBe("a=1; b=2");
    expect(request.headersDistinct["constructor"]).toEqual(["x"]);
  });

  it.each([
    ["a-b.c_d:1/2", true],
    ["x".repeat(128), true],
    ["x".repeat(129), false],
    ["with space", false],
    ["<script>", false],
  ])("keep a request id that is safe: %s", async (id, kept) => {
    const { headers } = await seen({ "X-Request-Id": id });
    if (kept) expect(headers["x-request-id"]).toBe(id);
    else expect(headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("are believed from a trusted proxy, and its own address is added", async () => {
    await using trusting = await TestWorker.start({ trustedProxies: ["127.0.0.0/8"] });
    await using upstream = await TestUpstream.start("seen");
    await trusting.route("seen", [upstream]);
    const headers = { "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https" };
    await send(trusting.port, "seen.test", { headers });
    expect(upstream.requests[0]?.headers).toMatchObject({
      "x-forwarded-for": "1.2.3.4, 127.0.0.1",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "seen.test",
    });
  });
});

describe("the answer that a client gets", () => {
  it("keeps repeated headers apart and leaves out what is between neighbours", async () => {
    await using _app = await app("cookies", (_request, response) => {
      response.writeHead(201, "Made", [
        ...["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Connection", "close, X-Hop"],
        ...["X-Hop", "1", "X-End", "1"],
      ]);
      response.end("body");
    });
    const { status, headers, body } = await send(worker.port, "cookies.test");
    expect({ status, body, cookies: headers["set-cookie"], end: headers["x-end"] }).toEqual({
      status: 201,
      body: "body",
      cookies: ["a=1", "b=2"],
      end: "1",
    });
    expect(headers["x-hop"]).toBeUndefined();
  });

  it.each([
    ["HEAD", 200],
    ["GET", 304],
    ["GET", 204],
  ])("has no body where none belongs: %s %i", async (method, status) => {
    await using _app = await app("empty", (_request, response) => {
      response.writeHead(status, status === 204 ? {} : { "Content-Length": "5" }).end();
    });
    const client = new RawClient(worker.port);
    client.write(`${method} / HTTP/1.1\r\nHost: empty.test\r\nConnection: close\r\n\r\n`);
    const answer = await client.untilClosed();
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.endsWith("\r\n\r\n")).toBe(true);
    if (status !== 204) expect(answer).toMatch(/content-length: 5\r\n/i);
    expect(answer).not.toMatch(/transfer-encoding/i);
  });

  it("passes on early hints", async () => {
    await using _app = await app("hints", (_request, response) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" }, () => response.end("late"));
    });
    const client = new RawClient(worker.port);
    client.write("GET / HTTP/1.1\r\nHost: hints.test\r\nConnection: close\r\n\r\n");
    const answer = await client.untilClosed();
    expect(answer).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/style\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 /i,
    );
  });

  it("passes on trailers, in both directions", async () => {
    await using upstream = await app("trailers", (request, response) => {
      response.writeHead(200, { Trailer: "X-Sum" });
      request.on("data", (chunk) => response.write(chunk));
      request.on("end", () => {
        response.addTrailers({ "X-Sum": `${request.trailers["x-sum"]}` });
        response.end();
      });
    });
    const client = new RawClient(worker.port);
    client.write(
      "POST / HTTP/1.1\r\nHost: trailers.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
    );
    client.write("Connection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\nHost: b\r\n\r\n");
    const answer = await client.untilClosed();
    expect(answer).toContain("3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n");
    expect(upstream.requests[0]?.trailers).toEqual({ "x-sum": "42" });
  });

  it("comes as it is written, head first", async () => {
    const { promise: finish, resolve } = Promise.withResolvers<void>();
    await using _app = await app("slow", async (_request, response) => {
      response.flushHeaders();
      await finish;
      response.end("done");
    });
    const client = new RawClient(worker.port);
    client.write("GET / HTTP/1.1\r\nHost: slow.test\r\nConnection: close\r\n\r\n");
    await client.until("\r\n\r\n");
    resolve();
    expect(await client.untilClosed()).toContain("done");
  });

  it("is closed by its end for a client of HTTP/1.0", async () => {
    await using _app = await app("old", (_request, response) => {
      response.write("one ");
      response.end("two");
    });
    const answer = await new RawClient(worker.port)
      .write("GET / HTTP/1.0\r\nHost: old.test\r\n\r\n")
      .untilClosed();
    expect(answer).toMatch(/\r\n\r\none two$/);
    expect(answer).not.toMatch(/transfer-encoding/i);
  });
});

describe("a body on its way to the app", () => {
  const hash = (data: Buffer) => createHash("sha256").update(data).digest("hex");
  const hashing: Listener = async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    response.end(`${request.method} ${hash(Buffer.concat(parts))}`);
  };

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "GET"])("arrives whole, chunked too: %s", async (method) => {
    await using _app = await app("body", hashing);
    const body = randomBytes(1024 * 1024);
    const length = { "Content-Length": String(body.length) };
    const counted = await send(worker.port, "body.test", { method, body, headers: length });
    const headers = { "Transfer-Encoding": "chunked" };
    const chunked = await send(worker.port, "body.test", { method, body, headers });
    expect([counted.body, chunked.body]).toEqual(Array(2).fill(`${method} ${hash(body)}`));
  });

  it("is awaited by the app's word, not Maestro's", async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    await using upstream = await app("expect", hashing);
    upstream.server.on("checkContinue", async (request, response) => {
      await asked;
      response.writeContinue();
      hashing(request, response);
    });
    const client = new RawClient(worker.port);
    const head = "POST / HTTP/1.1\r\nHost: expect.test\r\nContent-Length: 3\r\nConnection: close\r\n";
    client.write(`${head}Expect: 100-continue\r\n\r\n`);
    resolve();
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.write("abc");
    expect(await client.untilClosed()).toContain(hash(Buffer.from("abc")));
  });

  it("is not sent when the app declines it, and the connection ends", async () => {
    await using upstream = await app("decline");
    upstream.server.on("checkContinue", (_request, response) => response.writeHead(413).end("too much"));
    const client = new RawClient(worker.port);
    client.write(
      "POST / HTTP/1.1\r\nHost: decline.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    );
    expect(await client.untilClosed()).toMatch(
      /^HTTP\/1\.1 413 [\s\S]*connection: close\r\n[\s\S]*too much/i,
    );
  });

  it("may be answered before it has come, and the client reads the answer", async () => {
    await using _app = await app("early", (_request, response) => response.writeHead(413).end("too much"));
    const client = new RawClient(worker.port);
    client.write("POST / HTTP/1.1\r\nHost: early.test\r\nContent-Length: 2000000\r\n\r\n");
    await client.until("too much");
    client.write("x".repeat(2_000_000));
    client.write("GET /_ping_ HTTP/1.1\r\nHost: none\r\nConnection: close\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/pong$/);
  });
});

describe("an app that fails in the middle", () => {
  it("of its answer: the client's connection is cut, not left hanging", async () => {
    await using _app = await rawApp("half", (socket) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    const client = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: half.test\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/\r\n\r\nhalf$/);
  });

  it("of a chunk: nothing makes the answer look whole", async () => {
    await using _app = await rawApp("chunk", (socket) => {
      socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    const client = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: chunk.test\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/4\r\nhalf\r\n$/);
  });

  it("before its answer: 502", async () => {
    await using _app = await rawApp("silent", (socket) => socket.destroy());
    expect((await send(worker.port, "silent.test", { method: "POST", body: "x" })).status).toBe(502);
  });

  it("by an answer that is not HTTP, or is ambiguous: 502", async () => {
    await using _app = await rawApp("odd", (socket, text) => {
      if (text.startsWith("GET /both"))
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
      else socket.end("SSH-2.0-OpenSSH\r\n");
    });
    expect((await send(worker.port, "odd.test")).status).toBe(502);
    expect((await send(worker.port, "odd.test", { path: "/both" })).status).toBe(502);
  });

  it("by not answering in time: 504, and the app sees the end of the request", async () => {
    const ended = Promise.withResolvers<void>();
    await using _app = await app("late", (request) => request.socket.once("close", ended.resolve));
    expect((await send(worker.port, "late.test")).status).toBe(504);
    await ended.promise;
  });
});

describe("a client that leaves", () => {
  it("ends the request at the app, before the answer and in the middle of it", async () => {
    const came = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const ended = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await using _app = await app("left", (request, response) => {
      const index = Number(request.url?.slice(1));
      response.once("close", () => ended[index]?.resolve());
      if (index === 1) response.write("begun");
      else came[0]?.resolve();
    });
    const before = new RawClient(worker.port).write("GET /0 HTTP/1.1\r\nHost: left.test\r\n\r\n");
    await came[0]?.promise;
    before.socket.destroy();
    await ended[0]?.promise;
    const within = new RawClient(worker.port).write("GET /1 HTTP/1.1\r\nHost: left.test\r\n\r\n");
    await within.until("begun");
    within.socket.destroy();
    await ended[1]?.promise;
    expect(await worker.control.ask("drain", { instance: "left", requestsMs: 9000, streamsMs: 0 })).toEqual({
      requests: 0,
      streams: 0,
    });
  });
});

describe("a connection that is kept to the app", () => {
  it("is used again", async () => {
    const sockets = new Set<Socket>();
    await using _app = await app("kept", (request, response) => {
      sockets.add(request.socket);
      response.end();
    });
    for (const _ of Array(5)) await send(worker.port, "kept.test");
    expect(sockets.size).toBe(1);
  });

  /** Answers the first request of each connection and closes it at the second, without a byte. */
  async function forgetful(): Promise<{ app: AsyncDisposable; seen: string[] }> {
    const seen: string[] = [];
    const used = new WeakSet<Socket>();
    const stale = await rawApp("stale", (socket, text) => {
      seen.push(text.slice(0, text.indexOf(" ")));
      if (used.has(socket)) socket.destroy();
      else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      used.add(socket);
    });
    return { app: stale, seen };
  }

  it("and turns out closed costs a safe request nothing", async () => {
    const { app: stale, seen } = await forgetful();
    await using _app = stale;
    await send(worker.port, "stale.test");
    expect((await send(worker.port, "stale.test")).body).toBe("ok");
    expect(seen).toEqual(["GET", "GET", "GET"]);
  });

  it("and turns out closed is 502 for a request that may have been acted on", async () => {
    const { app: stale, seen } = await forgetful();
    await using _app = stale;
    await send(worker.port, "stale.test");
    expect((await send(worker.port, "stale.test", { method: "POST", body: "x" })).status).toBe(502);
    expect(seen).toEqual(["GET", "POST"]);
  });

  it("and was closed by the app just now is not used for a request that could not be sent again", async () => {
    await using old = await TestUpstream.start("quick");
    await worker.route("quick", [old]);
    const client = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: quick.test\r\n\r\n");
    await client.until("quick");
    await worker.control.ask("drain", { instance: "quick", requestsMs: 9000, streamsMs: 0 });
    const pid = worker.process.pid ?? expect.fail("no worker");
    freeze(pid); // It learns of the request and of the end at once, and of the request first.
    client.write("POST / HTTP/1.1\r\nHost: quick.test\r\nContent-Length: 4\r\n\r\nbody");
    await old.end();
    await using next = await TestUpstream.start("next", async (request, response) => {
      response.end(`next got ${await textOf(request)}`);
    });
    process.kill(pid, "SIGCONT");
    await worker.route("quick", [next]);
    expect(await client.until("next got body")).toMatch(/^HTTP\/1\.1 200 OK/);
  });

  it("is closed when its instance leaves the routes", async () => {
    const closed = Promise.withResolvers<void>();
    await using _old = await app("gone", (request, response) => {
      request.socket.once("close", () => closed.resolve());
      response.end();
    });
    await send(worker.port, "gone.test");
    await worker.control.ask("routes", { put: [], remove: ["gone"] });
    await closed.promise;
  });
});

describe("a request for an app that is not there yet", () => {
  it("waits while it is starting, its body too", async () => {
    await worker.route("start", [], { state: "starting" });
    const body = randomBytes(1024 * 1024);
    const answer = send(worker.port, "start.test", { method: "POST", body });
    await using upstream = await TestUpstream.start("start");
    await send(worker.port, "nobody.test");
    await worker.route("start", [upstream]);
    expect(await answer).toMatchObject({ status: 200, body: "start" });
  });

  it("is told to come again when it is away, also one that has waited", async () => {
    await worker.route("away", [], { state: "starting" });
    const client = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: away.test\r\n\r\n");
    await once(client.socket, "connect");
    await send(worker.port, "nobody.test");
    await worker.route("away", [], { state: "away" });
    expect(await client.until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: \d+\r\n/i);
    expect((await send(worker.port, "away.test")).status).toBe(503);
  });

  it("is told to come again when the hold has passed", async () => {
    await using hasty = await TestWorker.start({ holdMs: 1 });
    await hasty.route("start", [], { state: "starting" });
    const { status, headers } = await send(hasty.port, "start.test");
    expect({ status, again: Number(headers["retry-after"]) > 0 }).toEqual({ status: 503, again: true });
    await hasty.route("dead", [await deadUpstream("dead")]);
    expect((await send(hasty.port, "dead.test")).status).toBe(502);
  });

  it("is held when its instance refuses, and reaches the next one with its body intact", async () => {
    const received = Promise.withResolvers<Buffer>();
    await worker.route("replaced", [await deadUpstream("replaced.1")]);
    const body = randomBytes(1024 * 1024);
    const answer = send(worker.port, "replaced.test", { method: "POST", body });
    await using next = await TestUpstream.start("replaced.2", async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      received.resolve(Buffer.concat(parts));
      response.end("next");
    });
    await worker.route("replaced", [], { state: "starting" });
    await worker.route("replaced", [next]);
    expect(await answer).toMatchObject({ status: 200, body: "next" });
    expect((await received.promise).equals(body)).toBe(true);
  });

  it("goes to another instance at once when there is one", async () => {
    await using alive = await TestUpstream.start("alive");
    await worker.route("pair", [await deadUpstream("dead"), alive]);
    for (const _ of Array(4)) expect((await send(worker.port, "pair.test")).body).toBe("alive");
  });

  it("is forgotten when its client leaves", async () => {
    await worker.route("waiting", [], { state: "starting" });
    const client = connect(worker.port, "127.0.0.1");
    client.write("GET / HTTP/1.1\r\nHost: waiting.test\r\n\r\n");
    await send(worker.port, "nobody.test");
    client.resetAndDestroy(); // Without a reset it might as well have half-closed.
    await once(client, "close");
    await using upstream = await TestUpstream.start("waiting");
    await send(worker.port, "nobody.test");
    await worker.route("waiting", [upstream]);
    expect((await send(worker.port, "waiting.test")).status).toBe(200);
    expect(upstream.requests.length).toBe(1);
  });
});

describe("what is under way", () => {
  it("keeps a drain waiting: a request until it is answered, an event stream until its own limit", async () => {
    const finish = Promise.withResolvers<void>();
    await using _app = await app("drain", async (request, response) => {
      if (request.url === "/events") {
        response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
        response.write("data: 1\n\n");
        return;
      }
      response.write("begun");
      await finish.promise;
      response.end();
    });
    const slow = new RawClient(worker.port).write("GET / HTTP/1.1\r\nHost: drain.test\r\n\r\n");
    const events = new RawClient(worker.port).write("GET /events HTTP/1.1\r\nHost: drain.test\r\n\r\n");
    await Promise.all([slow.until("begun"), events.until("data: 1")]);
    const { inFlight, connections } = await worker.control.ask("status", {});
    expect(inFlight["drain"]).toEqual({ requests: 1, streams: 1 });
    expect(connections).toBeGreaterThanOrEqual(2);
    await worker.control.ask("routes", { put: [], remove: ["drain"] });
    const drained = worker.control.ask("drain", { instance: "drain", requestsMs: 60_000, streamsMs: 0 });
    const cut = await worker.control.ask("drain", { instance: "drain", requestsMs: 0, streamsMs: 0 });
    expect(cut).toEqual({ requests: 1, streams: 1 });
    finish.resolve();
    expect(await drained).toEqual({ requests: 0, streams: 1 });
    events.socket.destroy();
    slow.socket.destroy();
  });

  it("is written down when an access log is wanted", async () => {
    await using logging = await TestWorker.start({ accessLog: true });
    await using upstream = await TestUpstream.start("log");
    await logging.route("log", [upstream]);
    await send(logging.port, "log.test:80", { method: "PUT" });
    const line = (await logging.printed("log.test")).trim().split("\n").at(-1) ?? "";
    expect(JSON.parse(line)).toMatchObject({
      host_header: "log.test:80",
      target_port: upstream.port,
      source_ip: "127.0.0.1",
      method: "PUT",
      status: 200,
    });
  });
});

describe("a client that half-closes", () => {
  it("still gets its answer", async () => {
    await using _app = await app("halfclosed");
    const client = new RawClient(worker.port);
    client.write("GET / HTTP/1.1\r\nHost: halfclosed.test\r\n\r\n").socket.end();
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 [\s\S]*halfclosed/);
  });

  it("and one that only connects is no burden", async () => {
    const idle = httpRequest({ port: worker.port, host: "127.0.0.1", headers: { host: "x" } });
    idle.on("error", () => {}).flushHeaders();
    await once(idle, "socket");
    idle.destroy();
    expect((await send(worker.port, "nobody.test")).status).toBe(404);
  });
});
