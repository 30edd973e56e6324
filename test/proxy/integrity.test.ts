import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { converse, RawApp, TestPlane } from "../support/plane.ts";
import { TestUpstream } from "../support/proxy.ts";

const length = 10 * 1024 * 1024;
const data = randomBytes(length);
const sha1 = (bytes: Buffer) => createHash("sha1").update(bytes).digest("hex");
const whole = sha1(data);

/** Reads with pauses: what it has not read yet waits in everybody's buffers on the way. */
async function readSlowly(incoming: IncomingMessage): Promise<string> {
  const hash = createHash("sha1");
  let count = 0;
  for await (const part of incoming) {
    hash.update(part as Buffer);
    count += 1;
    // A turn of the event loop, in which the others fill what buffers there are.
    if (count % 4 === 0) for (let turn = 0; turn < 8; turn += 1) await new Promise(setImmediate);
  }
  return hash.digest("hex");
}

async function writeInPieces(into: { write(piece: Buffer): boolean } & NodeJS.EventEmitter): Promise<void> {
  const sizes = [1, 100, 1460, 16_384, 65_535, 65_536, 65_537, 200_000];
  for (let at = 0, turn = 0; at < length; turn += 1) {
    const piece = data.subarray(at, at + (sizes[turn % sizes.length] ?? 1));
    at += piece.length;
    if (!into.write(piece)) await once(into, "drain");
  }
}

/** More than all of the kernel's buffers on the way hold. */
const morsels = 4;

/** In pieces so small, and so far apart, that each is read into the buffer that all connections share. */
async function writeInMorsels(response: ServerResponse): Promise<void> {
  for (let at = 0; at < morsels * length; at += 20_000) {
    const start = at % length;
    if (!response.write(data.subarray(start, Math.min(length, start + 20_000))))
      await once(response, "drain");
    await new Promise(setImmediate);
  }
}

async function app(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === "/small") {
    request.resume().once("end", () => response.end("small"));
    return;
  }
  if (request.url === "/morsels") {
    await writeInMorsels(response);
    response.end();
    return;
  }
  const isCounted = request.headers["x-form"] === "counted";
  if (request.method === "POST") {
    const sum = await readSlowly(request);
    response.end(sum);
    return;
  }
  if (isCounted) response.setHeader("Content-Length", length);
  await writeInPieces(response);
  response.end();
}

let plane: TestPlane;
let upstream: TestUpstream;
beforeAll(async () => {
  plane = await TestPlane.start();
  upstream = await TestUpstream.start("a", (request, response) => void app(request, response));
  plane.route("a", upstream.port);
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const forms = ["counted", "chunked"];

async function download(form: string): Promise<string> {
  const headers = { host: "a.test", "x-form": form };
  const outgoing = httpRequest({ host: "127.0.0.1", port: plane.port, headers, agent: false }).end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  return readSlowly(incoming);
}

async function upload(form: string): Promise<string> {
  const framing =
    form === "counted" ? { "content-length": String(length) } : { "transfer-encoding": "chunked" };
  const headers = { host: "a.test", ...framing };
  const outgoing = httpRequest({
    host: "127.0.0.1",
    port: plane.port,
    method: "POST",
    headers,
    agent: false,
  });
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  await writeInPieces(outgoing);
  outgoing.end();
  const [incoming] = await answered;
  return String(Buffer.concat(await incoming.toArray()));
}

describe("a body of 10 MB", () => {
  it.each(forms)("comes whole to a client that reads slowly: %s", async (form) => {
    expect(await download(form)).toBe(whole);
  });

  it.each(forms)("comes whole to an app that reads slowly: %s", async (form) => {
    expect(await upload(form)).toBe(whole);
  });

  it("comes whole in small pieces to a client that waits, while others are served", async () => {
    const outgoing = httpRequest({
      host: "127.0.0.1",
      port: plane.port,
      headers: { host: "a.test" },
      path: "/morsels",
      agent: false,
    }).end();
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    const filling = "y".repeat(30_000);
    const small = `POST /small HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 30000\r\n\r\n${filling}`;
    // Meanwhile the kernel's buffers fill up, and what else has been read for the client has to wait in the worker.
    for (let count = 0; count < 400; count += 1)
      expect(await converse(plane.port, [small])).toMatch(/small$/);
    const sent = createHash("sha1");
    for (let at = 0; at < morsels * length; at += 20_000) {
      sent.update(data.subarray(at % length, Math.min(length, (at % length) + 20_000)));
    }
    expect(await readSlowly(incoming)).toBe(sent.digest("hex"));
  });

  it("comes whole while others come and go, in both directions", async () => {
    const all = forms.flatMap((form) => [download(form), upload(form), download(form), upload(form)]);
    expect(await Promise.all(all)).toEqual(all.map(() => whole));
  });
});

describe("in a Node whose handles are not what they were", () => {
  it("bodies come whole all the same, both ways", async () => {
    const usual = plane;
    await using plain = await TestPlane.start({}, "plain");
    plain.route("a", upstream.port);
    plane = plain;
    const all = forms.flatMap((form) => [download(form), upload(form)]);
    expect(await Promise.all(all)).toEqual(all.map(() => whole));
    plane = usual;
  });
});

describe("a client that does not read its answer", () => {
  it("is not read from the app for: what waits for it is bounded", async () => {
    let written = 0;
    const piece = Buffer.alloc(65_536, "x");
    await using endless = await RawApp.start((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
      const write = (): void => {
        while (!socket.destroyed && socket.write(piece)) written += piece.length;
      };
      socket.on("drain", write);
      write();
    });
    plane.route("endless", endless.port);
    const client = connect({ port: plane.port, host: "127.0.0.1" });
    client.pause().on("error", () => {});
    client.write("GET / HTTP/1.1\r\nHost: endless.test\r\n\r\n");
    // The kernel's buffers on both sides fill up, and then nothing moves any more.
    for (let before = -1; before !== written || written === 0; ) {
      before = written;
      for (let turn = 0; turn < 2000; turn += 1) await new Promise(setImmediate);
    }
    expect(written).toBeLessThan(64 * 1024 * 1024);
    client.destroy();
  });

  it("is not answered any further: its next requests wait", async () => {
    let requests = 0;
    const body = "x".repeat(100_000);
    await using eager = await RawApp.start((socket, text) => {
      for (const _ of text.matchAll(/\r\n\r\n/g)) {
        requests += 1;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
    });
    plane.route("eager", eager.port);
    const client = connect({ port: plane.port, host: "127.0.0.1" });
    client.pause().on("error", () => {});
    client.write("GET / HTTP/1.1\r\nHost: eager.test\r\n\r\n".repeat(1500));
    for (let before = -1; before !== requests || requests === 0; ) {
      before = requests;
      for (let turn = 0; turn < 2000; turn += 1) await new Promise(setImmediate);
    }
    expect(requests).toBeLessThan(1500);
    let received = 0;
    client.on("data", (chunk: Buffer) => {
      received += chunk.length;
      if (requests === 1500 && received >= 1500 * body.length) client.end();
    });
    client.resume();
    await once(client, "close");
    expect(requests).toBe(1500);
    expect(await converse(plane.port, ["GET / HTTP/1.1\r\nHost: none\r\nConnection: close\r\n\r\n"])).toMatch(
      /404/,
    );
  });
});
