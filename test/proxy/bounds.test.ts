import { spawn } from "node:child_process";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ProxySettings } from "../../src/app/proxy-settings.ts";
import { TestGeneralPath } from "../support/general-path.ts";
import { TestPlane } from "../support/plane.ts";
import { RawClient, send, TestUpstream } from "../support/proxy.ts";

const paths = {
  "the byte path": () => TestPlane.start(),
  "the general path": () => TestGeneralPath.start(),
};
/** However it ends. */
const ended = (request: IncomingMessage) =>
  new Promise((resolve) => request.on("error", () => {}).on("close", resolve));
const post = (fields: string) => `POST / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`;

/** For longer than nothing may move, a little at a time. */
function talk(socket: Duplex): void {
  let words = 0;
  const talking = setInterval(() => {
    words += 1;
    socket.write("word ");
    if (words < 30) return;
    clearInterval(talking);
    socket.end("said it all");
  }, 50);
}

describe.each(Object.entries(paths))("%s", (_, start) => {
  let path: TestPlane | TestGeneralPath;
  let app: TestUpstream;
  const bound = (settings: ProxySettings) => path.route("a", app.port, { settings });
  beforeAll(async () => {
    path = await start();
    app = await TestUpstream.start("a", (request, response) => {
      if (request.url === "/wait") return;
      if (request.url === "/events") {
        response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
        return;
      }
      request.resume().on("end", () => response.end("answered"));
    });
    app.server.on("upgrade", ({ url }, socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      if (url === "/talk") talk(socket);
    });
  });
  afterAll(async () => {
    await path[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  it("refuses a body that says to be too large with 413, before the app sees anything of it", async () => {
    bound({ maxBody: 1000 });
    const before = app.requests.length;
    const client = new RawClient(path.port).write(`${post("Content-Length: 1001\r\n")}x`);
    const answer = await client.untilClosed();
    expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*Connection: close\r\n[\s\S]*the limit is 1000 bytes\.$/i);
    expect(app.requests.length).toBe(before);
    expect((await send(path.port, "a.test", { method: "POST", body: "x".repeat(1000) })).status).toBe(200);
  });

  it("refuses a body in chunks when it has become too large: the app never sees its end", async () => {
    bound({ maxBody: 1000 });
    const client = new RawClient(path.port).write(post("Transfer-Encoding: chunked\r\n"));
    const [request] = await once(app.server, "request");
    const aborted = once(request, "error");
    client.write(`3e8\r\n${"x".repeat(1000)}\r\n1\r\nx\r\n`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 413 /);
    expect((await aborted)[0]).toMatchObject({ code: "ECONNRESET" });
    const whole = new RawClient(path.port).write(post("Transfer-Encoding: chunked\r\n"));
    whole.write(`1388\r\n${"x".repeat(5000)}\r\n0\r\n\r\n`);
    expect(await whole.untilClosed()).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("gives up an answer after the app's own time: 504", async () => {
    bound({ answerMs: 1 });
    expect((await send(path.port, "a.test", { path: "/wait" })).status).toBe(504);
  });

  it("gives up a client that lets a body wait: 408", async () => {
    bound({ answerMs: 300 });
    const client = new RawClient(path.port).write(`${post("Content-Length: 10\r\n")}x`);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });

  it("lets so many requests go to an app at once, streams besides; the rest get 503", async () => {
    bound({ maxInFlight: 2 });
    const events = new RawClient(path.port).write("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await events.until("data: 1");
    const waiting = [0, 1].map(() => new RawClient(path.port));
    for (const client of waiting) {
      const arrived = once(app.server, "request");
      client.write("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
      await arrived;
    }
    const { status, headers } = await send(path.port, "a.test");
    expect([status, headers["retry-after"]]).toEqual([503, "1"]);
    const left = app.requests.slice(-2).map(ended);
    for (const client of waiting) client.socket.resetAndDestroy();
    await Promise.all(left);
    expect((await send(path.port, "a.test")).status).toBe(200);
    events.socket.destroy();
  });

  it("ends a stream on which nothing moves, and cuts it so that it is seen", async () => {
    bound({ streamIdleMs: 300, answerMs: 1000 });
    const events = new RawClient(path.port).write("GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect(await events.untilClosed()).toMatch(/data: 1\n\n\r\n$/);
    const fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    const socket = new RawClient(path.port).write(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
    expect(await socket.untilClosed()).toMatch(/^HTTP\/1\.1 101 /);
  });

  it("keeps a tunnel on which the app alone speaks", async () => {
    bound({ streamIdleMs: 1000 });
    const fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    const socket = new RawClient(path.port).write(`GET /talk HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
    expect(await socket.untilClosed()).toMatch(/said it all$/);
  });

  it("gives up connecting after the app's own time: 502", async () => {
    // It listens, and never accepts: the kernel takes one connection or two for it, and then answers nobody.
    const program =
      'use Socket; socket(S,PF_INET,SOCK_STREAM,0); bind(S,sockaddr_in(0,INADDR_LOOPBACK)); listen(S,0); $|=1; print((sockaddr_in(getsockname(S)))[0], "\\n"); sleep 1000;';
    const deaf = spawn("perl", ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    const [text] = (await once(deaf.stdout, "data")) as [Buffer];
    const port = Number(text);
    const first = connect(port, "127.0.0.1");
    await once(first, "connect");
    path.route("a", port, { settings: { connectMs: 100 } });
    const replies = [0, 1, 2].map(() => new RawClient(path.port).write(post("Content-Length: 0\r\n")));
    await Promise.any(replies.map((client) => client.until("HTTP/1.1 502 ")));
    first.destroy();
    for (const client of replies) client.socket.destroy();
    deaf.kill("SIGKILL");
  });
});

it("a worker takes so many connections; what is more is told to come again", async () => {
  await using plane = await TestPlane.start({ maxConnections: 1 });
  await using app = await TestUpstream.start("a");
  plane.route("a", app.port);
  const first = new RawClient(plane.port).write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  await first.until("200 OK");
  const second = new RawClient(plane.port).write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  expect(await second.untilClosed()).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 1\r\n/);
  first.socket.destroy();
});
