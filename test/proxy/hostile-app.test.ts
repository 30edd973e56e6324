import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { converse, deliver, deliveries, RawApp, TestPlane } from "../support/plane.ts";

const ok = "HTTP/1.1 200 OK\r\n";
const chunked = "Transfer-Encoding: chunked\r\n";
const evil = `${ok}Content-Length: 4\r\n\r\nevil`;

/** Heads that two readers could understand differently, or that are none: the client gets 502 and nothing of them. */
const refused: Record<string, string> = {
  "a length and chunks": `${ok}Content-Length: 5\r\n${chunked}\r\n0\r\n\r\n`,
  "two lengths": `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
  "the same length twice": `${ok}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab`,
  "a list of lengths": `${ok}Content-Length: 2, 2\r\n\r\nab`,
  "a negative length": `${ok}Content-Length: -2\r\n\r\nab`,
  "a length beyond exact numbers": `${ok}Content-Length: 9007199254740993\r\n\r\nab`,
  "chunked twice": `${ok}${chunked}${chunked}\r\n0\r\n\r\n`,
  "an unknown coding": `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "chunks in HTTP/1.0": `HTTP/1.0 200 OK\r\n${chunked}\r\n0\r\n\r\n`,
  "a bare LF after the status line": `HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nab`,
  "a bare LF between headers": `${ok}X: y\nSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nab`,
  "a bare CR in a header": `${ok}X: y\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nab`,
  "a bare LF as the empty line": `${ok}Content-Length: 2\r\n\nab\r\n\r\n`,
  "a folded header": `${ok}X: y\r\n z\r\nContent-Length: 2\r\n\r\nab`,
  "a space before the colon": `${ok}Content-Length : 2\r\n\r\nab`,
  "NUL in a header": `${ok}X: a\0b\r\nContent-Length: 2\r\n\r\nab`,
  "a header without a name": `${ok}: y\r\nContent-Length: 2\r\n\r\nab`,
  "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nab",
  "a status of four digits": "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nab",
  "a status below 100": "HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nab",
  "a control character in the reason": "HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nab",
  "HTTP/2.0": "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
  "what is not HTTP": "SSH-2.0-OpenSSH_9.2\r\n",
  "another protocol that nobody asked for": `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n`,
  "informational answers without end": "HTTP/1.1 102 Processing\r\n\r\n".repeat(40),
};

/** Bodies that break after the head has gone: the client's connection is cut, so that it sees that it is not whole. */
const cut: Record<string, string> = {
  "a chunk's size that is none": `${ok}${chunked}\r\nx\r\nab\r\n0\r\n\r\n`,
  "a chunk beyond all numbers": `${ok}${chunked}\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n`,
  "a chunk that is longer than it says": `${ok}${chunked}\r\n2\r\nabc\r\n0\r\n\r\n`,
  "a chunk that ends with LF": `${ok}${chunked}\r\n2\r\nab\n0\r\n\r\n`,
  "a size that ends with LF": `${ok}${chunked}\r\n2\nab\r\n0\r\n\r\n`,
  "a folded trailer": `${ok}${chunked}\r\n2\r\nab\r\n0\r\nA: b\r\n c\r\n\r\n`,
};

/** Answers with something behind them, which a reader that had lost its place would take for the next answer. */
const trailing: Record<string, [method: string, first: string]> = {
  "behind a counted body": ["GET", `${ok}Content-Length: 2\r\n\r\nok`],
  "behind a chunked body": ["GET", `${ok}${chunked}\r\n2\r\nok\r\n0\r\n\r\n`],
  "behind trailers": ["GET", `${ok}${chunked}\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n`],
  "behind an answer to HEAD": ["HEAD", `${ok}Content-Length: ${evil.length}\r\n\r\n`],
  "behind 204": ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
  "behind 204 with a length": ["GET", `HTTP/1.1 204 No Content\r\nContent-Length: ${evil.length}\r\n\r\n`],
  "behind 304": ["GET", `HTTP/1.1 304 Not Modified\r\nContent-Length: ${evil.length}\r\n\r\n`],
};

let plane: TestPlane;
let app: RawApp;
/** What the app does with the next requests. */
let answerWith: (socket: Socket, text: string) => void = () => {};
beforeAll(async () => {
  plane = await TestPlane.start({ answerMs: 3000 });
  app = await RawApp.start((socket, text) => answerWith(socket, text));
  plane.route("a", app.port);
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

const request = (method = "GET") => `${method} / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`;

describe.each(Object.entries(deliveries))(
  "an app's answer that is ambiguous or broken, %s",
  (_, delivery) => {
    it.each(Object.keys(refused))("is 502 for the client: %s", async (name) => {
      for (const parts of delivery(refused[name] ?? "")) {
        answerWith = (socket) => void deliver(socket, parts).then(() => socket.end());
        const answer = await converse(plane.port, [request()]);
        const final = answer.replace(/^(?:HTTP\/1\.1 102 Processing\r\n\r\n)*/, "");
        expect(final).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
        expect(final).not.toMatch(/evil/);
      }
    });

    it.each(Object.keys(cut))("is cut off when its head has gone: %s", async (name) => {
      for (const parts of delivery(cut[name] ?? "")) {
        answerWith = (socket) => void deliver(socket, parts);
        const answer = await converse(plane.port, [request()]);
        expect(answer).toMatch(/^(HTTP\/1\.1 200 OK\r\n|HTTP\/1\.1 502 )/);
        if (answer.startsWith(ok)) expect(answer).not.toMatch(/0\r\n\r\n$/);
      }
    });

    it.each(Object.keys(trailing))("is nobody else's answer: %s", async (name) => {
      const [method, first] = trailing[name] ?? ["GET", ""];
      for (const parts of delivery(first + evil)) {
        const said = Promise.withResolvers<void>();
        answerWith = (socket) => void deliver(socket, parts).then(said.resolve);
        expect(await converse(plane.port, [request(method)])).not.toContain("evil");
        // What comes after the next request has been sent is its answer, for all that anybody can tell.
        await said.promise;
        answerWith = (socket) => void socket.write(`${ok}Content-Length: 4\r\n\r\ngood`);
        expect(await converse(plane.port, [request()])).toMatch(/good$/);
      }
    });
  },
);

describe("an app that speaks without being asked", () => {
  it("answers nobody with it", async () => {
    answerWith = (socket) => {
      socket.write(`${ok}Content-Length: 2\r\n\r\nok`);
      setImmediate(() => socket.write(evil));
    };
    expect(await converse(plane.port, [request()])).toMatch(/ok$/);
    answerWith = (socket) => void socket.write(`${ok}Content-Length: 4\r\n\r\ngood`);
    for (const _ of Array(20)) expect(await converse(plane.port, [request()])).toMatch(/good$/);
  });
});

describe("an app's head that is too long", () => {
  it("is 502, and what it sends on is not read", async () => {
    answerWith = (socket) =>
      void socket.write(`${ok}X: ${"x".repeat(100_000)}\r\nContent-Length: 2\r\n\r\nab`);
    expect(await converse(plane.port, [request()])).toMatch(/^HTTP\/1\.1 502 /);
  });
});

describe("what an app may not say to a client", () => {
  it("is left out: what is between neighbours, whoever names it", async () => {
    answerWith = (socket) =>
      void socket.write(
        `${ok}Connection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\nX-Secret: 1\r\nProxy-Connection: x\r\n` +
          "Upgrade: h2c\r\nTE: trailers\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
      );
    const answer = await converse(plane.port, [request()]);
    expect(answer).toMatch(/\r\nX-Kept: 1\r\n/);
    expect(answer).not.toMatch(/\r\n(X-Secret|Keep-Alive|Proxy-Connection|Upgrade|TE):/i);
  });
});
