import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ok, ScriptedCouch } from "../support/scripted-couch.ts";

let couch: ScriptedCouch;
beforeAll(async () => {
  couch = await ScriptedCouch.start();
});
afterAll(async () => {
  await couch[Symbol.asyncDispose]();
});
beforeEach(() => {
  couch.received.length = 0;
  couch.script = (_, socket) => socket.write(ok("{}"));
});

const head = (line: string, more = "") =>
  `${line} HTTP/1.1\r\nHost: db\r\nAuthorization: ${couch.authorization}\r\n${more}\r\n`;
const answers = (count: number) => (text: string) => text.split("HTTP/1.1 ").length > count;
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);

describe("a request through the endpoint", () => {
  it("comes to the server as it was, but for whom it is from and what is between neighbours", async () => {
    const more =
      'Cookie: AuthSession=x\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nIf-None-Match: "1-a"\r\nContent-Length: 7\r\n';
    await couch.send(`${head("PUT /shop/a%20b?new_edits=false", more)}{"n":1}`, answers(1));
    const [{ line, head: fields, body } = { line: "", head: "", body: "" }] = couch.received;
    expect(line).toBe("PUT /shop/a%20b?new_edits=false HTTP/1.1");
    expect(body).toBe('{"n":1}');
    expect(fields).toContain('If-None-Match: "1-a"\r\n');
    expect(fields).not.toMatch(/cookie|x-private|host: db|keep-alive/i);
    expect(fields.match(/authorization:/gi)).toHaveLength(1);
  });

  it("cannot remove the database, with whatever credentials it goes on", async () => {
    for (const line of ["DELETE /shop", "DELETE /shop/", "DELETE /%73hop?x=1"]) {
      expect(statuses(await couch.send(head(line), answers(1))), line).toEqual(["401"]);
    }
    expect(couch.lines).toEqual([]);
  });

  it("cannot say to a CouchDB that trusts a proxy that it is from somebody else", async () => {
    const more =
      "X-Auth-CouchDB-UserName: root\r\nx-auth-couchdb-roles: _admin\r\nX-Auth-CouchDB-Token: 1\r\n";
    for (const line of ["GET /shop/a", "COPY /shop/a", "GET /shop/_changes"]) {
      await couch.send(head(line, more), answers(1));
      expect(couch.received.at(-1)?.head, line).not.toMatch(/x-auth/i);
    }
  });

  it("gets the server's answer without the server's credentials and places", async () => {
    const more =
      'Set-Cookie: AuthSession=root\r\nWWW-Authenticate: Basic realm=x\r\nLocation: http://127.0.0.1:5984/shop/a\r\nETag: "1-a"\r\nConnection: keep-alive\r\n';
    couch.script = (_, socket) => socket.write(ok('{"ok":true}', more));
    for (const line of ["GET /shop/a", "PUT /shop/a", "GET /shop/_changes"]) {
      const text = await couch.send(head(line), (sofar) => sofar.includes('{"ok":true}'));
      expect(text, line).toContain('ETag: "1-a"');
      expect(text, line).not.toMatch(/set-cookie|www-authenticate|location|127\.0\.0\.1|root/i);
    }
  });

  it("is answered in its turn, whichever path it goes, over one connection", async () => {
    couch.script = ({ line }, socket) => socket.write(ok(JSON.stringify(line.split(" ")[1])));
    const chunked = `${head("PUT /shop/b", "Transfer-Encoding: chunked\r\n")}2\r\n{}\r\n0\r\n\r\n`;
    const lines = ["GET /shop/a", "GET /_uuids", "GET /shop/a", "GET /_session", "GET /shop/_changes"];
    const requests = [...lines.map((line) => head(line)), chunked, head("COPY /shop/a"), head("GET /shop/c")];
    const text = await couch.send(requests.join(""), (sofar) => sofar.includes('"/shop/c"'));
    expect(statuses(text)).toEqual(Array(8).fill("200"));
    expect(text.match(/"\/shop\/(?:a|b|c|_changes)"|uuids|userCtx/g)).toEqual([
      '"/shop/a"',
      "uuids",
      '"/shop/a"',
      "userCtx",
      '"/shop/_changes"',
      '"/shop/b"',
      '"/shop/a"',
      '"/shop/c"',
    ]);
  });

  it("is answered, and its connection ends, when it expects what nobody knows", async () => {
    const text = await couch.send(head("GET /shop/a", "Expect: wonders\r\n") + head("GET /shop/b"));
    expect(statuses(text)[0]).toBe("417");
    expect(text).toContain('{"error":"expectation_failed"');
    expect(couch.lines).not.toContain("GET /shop/a HTTP/1.1");
  });

  it("is read in whatever pieces it comes", async () => {
    const whole = `${head("PUT /shop/a", "Content-Length: 2\r\n")}{}${head("GET /shop/b")}`;
    for (let cut = 1; cut < whole.length; cut += 7) {
      const text = await sendInTwo(whole.slice(0, cut), whole.slice(cut));
      expect(statuses(text)).toEqual(["200", "200"]);
    }
  });

  it("is nobody's once the app's password has changed, also over a connection that was let in", async () => {
    const socket = await connected();
    const old = head("GET /shop/a");
    expect(await socket.ask(old)).toContain("200 OK");
    expect(await socket.ask(old)).toContain("200 OK");
    await couch.changePassword("another-password-that-is-long");
    expect(await socket.ask(old)).toContain("401");
    await couch.changePassword(couch.account.password);
    expect(await couch.send(old, answers(1))).toContain("200 OK");
    socket.end();
  });
});

describe("what could be read in two ways", () => {
  const smuggled = "GET /shop/smuggled HTTP/1.1\r\nHost: db\r\n\r\n";
  const auth = () => `Authorization: ${couch.authorization}\r\n`;
  it.each([
    ["two lengths", "PUT", "Content-Length: 0\r\nContent-Length: 44\r\n"],
    ["a length and chunks", "PUT", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"],
    ["chunks in another coding", "PUT", "Transfer-Encoding: gzip, chunked\r\n"],
    ["a tab before the length", "PUT", "Content-Length:\t44\r\n"],
    ["a list of lengths", "PUT", "Content-Length: 0, 44\r\n"],
    ["a length with a sign", "PUT", "Content-Length: +44\r\n"],
    ["a space before the colon", "PUT", "Content-Length : 44\r\n"],
    ["a folded line", "PUT", "X: 1\r\n Content-Length: 44\r\n"],
    ["a bare LF", "PUT", "X: 1\nContent-Length: 44\r\n"],
    ["two hosts", "GET", "Host: other\r\n"],
  ])("is refused and nothing of it sent on: %s", async (_, method, more) => {
    const text = await couch.send(
      `${method} /shop/a HTTP/1.1\r\nHost: db\r\n${auth()}${more}\r\n${smuggled}`,
    );
    expect(statuses(text)).toEqual(["400"]);
    expect(text).toContain('{"error":"bad_request"');
    expect(couch.lines).toEqual([]);
  });

  it("is refused also behind a request that was sound, and with it as the first bytes of a body", async () => {
    const text = await couch.send(`${head("GET /shop/a")}${head("PUT /shop/b", "Content-Length: x\r\n")}`);
    expect(statuses(text)).toEqual(["200", "400"]);
    const body = `${head("PUT /shop/c", `Content-Length: ${smuggled.length}\r\n`)}${smuggled}`;
    expect(statuses(await couch.send(body, answers(1)))).toEqual(["200"]);
    expect(couch.lines).toEqual(["GET /shop/a HTTP/1.1", "PUT /shop/c HTTP/1.1"]);
  });

  it("goes to nobody else's database, in whatever form it is written", async () => {
    for (const path of ["/other/a", "/shop/../other/a", "/shop/%2e%2e/other/a", "/%6fther/a"]) {
      const text = await couch.send(head(`GET ${path}`), answers(1));
      expect(["400", "403"], path).toContain(statuses(text)[0]);
    }
    const twice = head("GET /shop/a", "Authorization: Basic cm9vdDpzZWNyZXQ=\r\n");
    await couch.send(twice, answers(1));
    for (const { head: fields } of couch.received) expect(fields).not.toContain("cm9vdDpzZWNyZXQ=");
  });
});

describe("what a CouchDB would tell of the endpoint's own credentials", () => {
  it("is not asked: functions that get the request's head, in whatever form their path is written", async () => {
    const paths = ["_design/x/_show/y", "_design//x/_show/y", "/_design/x/_show/y", "_design/x//_show/y"];
    for (const path of [...paths, "_design%2fx//_list/y", "_design/x/%5fupdate/y"]) {
      const text = await couch.send(head(`GET /shop/${path}`), answers(1));
      expect(["400", "501"], path).toContain(statuses(text)[0]);
    }
    expect(couch.lines).toEqual([]);
  });

  it("is not asked: the request as it arrived", async () => {
    const text = await couch.send(head("TRACE /shop/a", "Max-Forwards: 0\r\n"), answers(1));
    expect(statuses(text)).toEqual(["405"]);
    expect(couch.lines).toEqual([]);
  });
});

describe("a server that fails", () => {
  const failsOnce = (fail: (socket: Socket) => void) => {
    let failed = false;
    couch.script = (_, socket) => {
      if (failed) return void socket.write(ok('{"n":1}'));
      failed = true;
      fail(socket);
    };
  };

  it.each<[string, (socket: Socket) => void]>([
    ["before it answers", (socket) => socket.destroy()],
    ["in the middle of a head", (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-")],
    ["in the middle of a small answer", (socket) => socket.end(ok('{"n":1}').slice(0, -2))],
    ["by saying what is not HTTP", (socket) => socket.end("SMTP ready\r\n\r\n")],
  ])("is asked again for what only reads: %s", async (_, fail) => {
    failsOnce(fail);
    const text = await couch.send(head("GET /shop/a"), answers(1));
    expect(statuses(text)).toEqual(["200"]);
    expect(text).toContain('{"n":1}');
    expect(couch.lines).toHaveLength(2);
  });

  it("is not asked again for a write, whose app is told so", async () => {
    failsOnce((socket) => socket.destroy());
    const text = await couch.send(`${head("PUT /shop/a", "Content-Length: 2\r\n")}{}`, answers(1));
    expect(statuses(text)).toEqual(["503"]);
    expect(text).toMatch(/retry-after: 1/i);
    expect(text).toContain("may have been done or not");
    expect(couch.lines).toHaveLength(1);
  });

  it("in the middle of a long answer cuts it, and no bytes behind an answer are the next one's", async () => {
    const long = "x".repeat(100_000);
    couch.script = (_, socket) => void socket.write(ok(long).slice(0, -1000), () => socket.destroy());
    const text = await couch.send(head("GET /shop/a"));
    expect(statuses(text)).toEqual(["200"]);
    expect(text.length).toBeLessThan(long.length);
    couch.script = ({ line }, socket) =>
      socket.write(ok(JSON.stringify(line)) + (line.includes("first") ? ok('"nobody\'s"') : ""));
    const both = await couch.send(`${head("GET /shop/first")}${head("GET /shop/second")}`, answers(2));
    expect(both).toContain("GET /shop/second");
    expect(both).not.toContain("nobody");
  });
});

describe("an answer", () => {
  it("without a body ends with its head", async () => {
    couch.script = ({ line }, socket) => {
      if (line.startsWith("HEAD")) socket.write(ok("{}").slice(0, -2));
      else if (line.includes("same"))
        socket.write('HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\nETag: "a"\r\n\r\n');
      else socket.write(ok('"end"'));
    };
    const text = await couch.send(
      `${head("HEAD /shop/a")}${head("GET /shop/same")}${head("GET /shop/b")}`,
      (sofar) => sofar.includes('"end"'),
    );
    expect(statuses(text)).toEqual(["200", "304", "200"]);
  });

  it("in chunks is passed on as it comes, and one that ends with the connection ends it", async () => {
    const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    couch.script = ({ line }, socket) => {
      if (line.includes("endless")) return void socket.end("HTTP/1.1 200 OK\r\n\r\nall of it");
      socket.write(`${chunks}3\r\none\r\n`, () => socket.write("3\r\ntwo\r\n0\r\n\r\n"));
    };
    const text = await couch.send(`${head("GET /shop/a")}${head("GET /shop/endless")}`);
    expect(text).toContain("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    expect(text).toMatch(/Connection: close\r\n\r\nall of it$/);
  });
});

async function sendInTwo(first: string, second: string): Promise<string> {
  const socket = await connected();
  const text = await socket.ask(first, second, 2);
  socket.end();
  return text;
}

/** A connection over which several requests go. */
async function connected() {
  const socket = connect({ host: "127.0.0.1", port: couch.port, noDelay: true });
  await once(socket, "connect");
  socket.setEncoding("latin1");
  const ask = async (first: string, second = "", count = 1): Promise<string> => {
    let text = "";
    const { promise, resolve } = Promise.withResolvers<void>();
    const take = (part: string) => {
      text += part;
      if (answers(count)(text) && (text.endsWith("\n") || text.endsWith("}"))) resolve();
    };
    socket.on("data", take);
    await new Promise((sent) => socket.write(first, sent));
    if (second !== "") socket.write(second);
    await promise;
    socket.off("data", take);
    return text;
  };
  return { ask, end: () => socket.destroy() };
}
