import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RawClient, TestUpstream, TestWorker } from "../support/proxy.ts";

let worker: TestWorker;
let upstream: TestUpstream;
beforeAll(async () => {
  upstream = await TestUpstream.start("a");
  worker = await TestWorker.start();
  await worker.route("a", [upstream]);
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const post = "POST / HTTP/1.1\r\nHost: a.test\r\n";
const get = "GET / HTTP/1.1\r\nHost: a.test\r\n";
const chunked = "Transfer-Encoding: chunked\r\n";

const refused: Record<string, string> = {
  "Content-Length and Transfer-Encoding together": `${post}Content-Length: 4\r\n${chunked}\r\n0\r\n\r\n`,
  "Transfer-Encoding and Content-Length together": `${post}${chunked}Content-Length: 4\r\n\r\n0\r\n\r\n`,
  "the same Content-Length twice": `${post}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`,
  "two different Content-Lengths": `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`,
  "a list as Content-Length": `${post}Content-Length: 1, 1\r\n\r\nx`,
  "a signed Content-Length": `${post}Content-Length: +1\r\n\r\nx`,
  "a hexadecimal Content-Length": `${post}Content-Length: 0x1\r\n\r\nx`,
  "two Hosts": "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
  "the same Host twice": "GET / HTTP/1.1\r\nHost: a.test\r\nhost: a.test\r\n\r\n",
  "no Host": "GET / HTTP/1.1\r\n\r\n",
  "an empty Host": "GET / HTTP/1.1\r\nHost:\r\n\r\n",
  "a Host with a space": "GET / HTTP/1.1\r\nHost: a.test b\r\n\r\n",
  "a Host with a slash": "GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n",
  "a Host with a user": "GET / HTTP/1.1\r\nHost: b@a.test\r\n\r\n",
  "a Host with a letter as port": "GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n",
  "a Host beyond ASCII": "GET / HTTP/1.1\r\nHost: \xe4.test\r\n\r\n",
  "a bare LF after the request line": "GET / HTTP/1.1\nHost: a.test\r\n\r\n",
  "a bare LF after a header": "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n",
  "a bare LF as the empty line": `${get}\n`,
  "a bare CR in a header": `${get}X: y\rZ: z\r\n\r\n`,
  "a folded header": `${get}X: y\r\n z\r\n\r\n`,
  "a folded first header": "GET / HTTP/1.1\r\n Host: b.test\r\nHost: a.test\r\n\r\n",
  "a space before the colon": `${get}X : y\r\n\r\n`,
  "a header without a name": `${get}: y\r\n\r\n`,
  "NUL in a header": `${get}X: a\0b\r\n\r\n`,
  "NUL in the target": "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
  "an unknown Transfer-Encoding": `${post}Transfer-Encoding: gzip\r\n\r\n`,
  "a Transfer-Encoding that only looks like chunked": `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  "a coding before chunked": `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "a coding after chunked": `${post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  "chunked twice": `${post}${chunked}${chunked}\r\n0\r\n\r\n`,
  "an empty Transfer-Encoding": `${post}Transfer-Encoding:\r\n\r\n`,
  "Transfer-Encoding in HTTP/1.0": `POST / HTTP/1.0\r\nHost: a.test\r\n${chunked}\r\n0\r\n\r\n`,
  "HTTP/2.0 as text": "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
  "a target that is no path": "GET foo HTTP/1.1\r\nHost: a.test\r\n\r\n",
  "an asterisk with another method than OPTIONS": "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n",
  "a URL of another scheme": "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
  "a URL with a user": "GET http://b@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
  "what is not HTTP at all": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
};

describe("a request that two readers could understand differently", () => {
  it.each(Object.keys(refused))("gets 400 and a closed connection, and reaches no app: %s", async (name) => {
    const before = upstream.requests.length;
    const answer = await new RawClient(worker.port).write(refused[name] ?? "").untilClosed();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(upstream.requests.length).toBe(before);
  });

  it("takes what was sent after it on the connection with it", async () => {
    const before = upstream.requests.length;
    const client = new RawClient(worker.port);
    client.write(`${post}Content-Length: 4\r\n${chunked}\r\n0\r\n\r\n${get}\r\n`);
    expect((await client.untilClosed()).match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(upstream.requests.length).toBe(before);
  });

  it.each([
    "5 ;x\r\nabcde\r\n0\r\n\r\n",
    "1\nx\r\n0\r\n\r\n",
    "-1\r\nx\r\n0\r\n\r\n",
    "1\r\nxy\r\n0\r\n\r\n",
  ])("is never completed towards the app when a chunk is malformed: %j", async (body) => {
    const seen = upstream.requests.length;
    const answer = await new RawClient(worker.port).write(`${post}${chunked}\r\n${body}`).untilClosed();
    expect(answer).not.toMatch(/^HTTP\/1\.1 200/);
    for (const request of upstream.requests.slice(seen)) expect(request.complete).toBe(false);
  });
});

describe("a head that is too much", () => {
  it("gets 431 when it is too large", async () => {
    const answer = await new RawClient(worker.port)
      .write(`${get}X: ${"x".repeat(70_000)}\r\n\r\n`)
      .untilClosed();
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });
});

describe("what is unusual and right", () => {
  const accepted: Record<string, [string, RegExp]> = {
    "HTTP/1.0 without keep-alive": [
      "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
      /^HTTP\/1\.1 200 [\s\S]*\r\n\r\na$/,
    ],
    "a URL as target, whose host counts": [
      "GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 200 /,
    ],
    "a URL without a path": [
      "GET http://a.test?q HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 200 /,
    ],
    "OPTIONS for the server": [
      "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 200 /,
    ],
    "chunked in capitals": [
      `${post}Connection: close\r\nTransfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 200 /,
    ],
  };
  it.each(Object.keys(accepted))("is answered: %s", async (name) => {
    const [text = "", form = /^$/] = accepted[name] ?? [];
    expect(await new RawClient(worker.port).write(text).untilClosed()).toMatch(form);
  });

  it("reaches the app with the host of the URL and in origin form", async () => {
    await new RawClient(worker.port)
      .write("GET http://a.test/x//y?z HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n")
      .untilClosed();
    const { url, headers } = upstream.requests.at(-1) ?? {};
    expect({ url, host: headers?.host }).toEqual({ url: "/x//y?z", host: "a.test" });
  });

  it("answers pipelined requests in their order", async () => {
    const client = new RawClient(worker.port);
    client.write(`${get}\r\nGET /_ping_ HTTP/1.1\r\nHost: none\r\nConnection: close\r\n\r\n`);
    const answers = await client.untilClosed();
    expect(answers).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\naHTTP\/1\.1 200 [\s\S]*\r\n\r\npong$/);
  });
});
