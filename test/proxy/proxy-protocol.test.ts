import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RawClient, TestUpstream, TestWorker } from "../support/proxy.ts";

let worker: TestWorker;
let app: TestUpstream;
beforeAll(async () => {
  worker = await TestWorker.start({
    listen: [{ host: "127.0.0.1", port: 0, proxyProtocol: true }],
    trustedProxies: ["203.0.113.9"],
  });
  app = await TestUpstream.start("a");
  await worker.route("a", [app]);
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

const get = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const signature = "\r\n\r\n\0\r\nQUIT\n";

function v2(command: number, family: number, addresses: string): string {
  const length = addresses.length;
  return signature + String.fromCharCode(command, family, length >> 8, length & 255) + addresses;
}

const v4 = "\xc0\x00\x02\x01\x7f\x00\x00\x01\x30\x39\x01\xbb"; // 192.0.2.1:12345 to 127.0.0.1:443
const v6 = `\x20\x01\x0d\xb8${"\0".repeat(11)}\x01${"\0".repeat(15)}\x01\x30\x39\x01\xbb`; // 2001:db8::1 to ::1

/** What the app saw of who the client is. */
async function seen(introduction: string, request = get): Promise<unknown[]> {
  const answer = await new RawClient(worker.port).write(introduction + request).untilClosed();
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  const { headers } = app.requests.at(-1) ?? {};
  return [headers?.["x-forwarded-for"], headers?.["x-forwarded-port"]];
}

describe("a listener for the PROXY protocol", () => {
  it.each([
    ["version 1, IPv4", "PROXY TCP4 192.0.2.1 127.0.0.1 12345 443\r\n", ["192.0.2.1", "443"]],
    ["version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 12345 443\r\n", ["2001:db8::1", "443"]],
    ["version 2, IPv4", v2(0x21, 0x11, v4), ["192.0.2.1", "443"]],
    ["version 2, IPv6", v2(0x21, 0x21, v6), ["2001:db8::1", "443"]],
    ["version 2, with more behind the addresses", v2(0x21, 0x11, `${v4}\x04\x00\x01x`), ["192.0.2.1", "443"]],
  ])("tells the app who the client is: %s", async (_, introduction, expected) => {
    expect(await seen(introduction)).toEqual(expected);
    // Also on the general path, which a request of HTTP/1.0 goes.
    expect(await seen(introduction, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")).toEqual(expected);
  });

  it.each([
    ["version 1", "PROXY UNKNOWN\r\n"],
    ["version 1, with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"],
    ["version 2, the balancer's own check", v2(0x20, 0x00, "")],
    ["version 2, another family", v2(0x21, 0x31, "x".repeat(216))],
  ])("takes the balancer for the client when it does not say: %s", async (_, introduction) => {
    expect(await seen(introduction)).toEqual(["127.0.0.1", String(worker.port)]);
  });

  it("believes what a client says of others when that client is trusted", async () => {
    const request = get.replace("\r\n\r\n", "\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n");
    const [from] = await seen("PROXY TCP4 203.0.113.9 127.0.0.1 1 80\r\n", request);
    expect(from).toBe("198.51.100.7, 203.0.113.9");
    const [unbelieved] = await seen("PROXY TCP4 192.0.2.1 127.0.0.1 1 80\r\n", request);
    expect(unbelieved).toBe("192.0.2.1");
  });

  it("reads it byte by byte", async () => {
    for (const introduction of ["PROXY TCP4 192.0.2.1 127.0.0.1 12345 443\r\n", v2(0x21, 0x11, v4)]) {
      const client = new RawClient(worker.port);
      for (const byte of introduction + get) {
        client.write(byte);
        await new Promise(setImmediate);
      }
      expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 /);
      expect(app.requests.at(-1)?.headers["x-forwarded-for"]).toBe("192.0.2.1");
    }
  });

  it.each([
    ["without one", ""],
    ["one that is too long", `PROXY TCP4 ${"1".repeat(200)}\r\n`],
    ["one that ends with LF", "PROXY TCP4 192.0.2.1 127.0.0.1 1 2\n"],
    ["addresses that are none", "PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n"],
    ["addresses of the other family", "PROXY TCP4 ::1 ::1 1 2\r\n"],
    ["a version of the future", v2(0x31, 0x11, v4)],
    ["addresses that are cut", v2(0x21, 0x11, v4.slice(0, 8))],
    ["a length beyond all need", v2(0x21, 0x11, "x".repeat(4000))],
  ])("answers nothing to a connection %s", async (_, introduction) => {
    const before = app.requests.length;
    expect(await new RawClient(worker.port).write(introduction + get).untilClosed()).toBe("");
    expect(app.requests.length).toBe(before);
  });

  it("is one for a sibling, too", async () => {
    await worker.sibling("2");
    await worker.control.ask("leave", { requestsMs: 1000, streamsMs: 1000 });
    await worker.control.closed;
    expect(await seen("PROXY TCP4 192.0.2.1 127.0.0.1 12345 443\r\n")).toEqual(["192.0.2.1", "443"]);
  });
});
