import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { Backend, parseServerUrl } from "../../src/data/endpoint/backend.ts";
import { Deadlines } from "../../src/http/deadlines.ts";
import { socketWires } from "../../src/http/wires.ts";

describe("the URL of a server", () => {
  it("is refused, and not repeated, when its password cannot be decoded", () => {
    expect(parseServerUrl("http://root:100%25@127.0.0.1:5984/").password).toBe("100%25");
    for (const url of [
      "http://root:100%@127.0.0.1/",
      "http://root:%ff@127.0.0.1/",
      "ftp://root:x@127.0.0.1/",
    ])
      expect(() => parseServerUrl(url)).toThrow(/^that is not the URL of a CouchDB; write https/);
  });
});

describe("a connection of the byte path", () => {
  it("is watched by the kernel while an answer is waited for: a server may have gone without a word", async () => {
    const server = createServer(() => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const backend = new Backend(
      { url: `http://127.0.0.1:${port}` },
      { wires: socketWires, deadlines: new Deadlines() },
    );
    const connection = await backend.connect(new AbortController().signal);
    // Where it goes to, its state, its queues, and its timer, of which 02 is keepalive's: see proc_net(5).
    const hex = port.toString(16).toUpperCase().padStart(4, "0");
    const timer = new RegExp(`0100007F:${hex} 01 \\S+ (\\d\\d):`);
    expect(timer.exec(await readFile("/proc/net/tcp", "utf8"))?.[1]).toBe("02");
    connection.destroy();
    backend.close();
    server.close();
  });
});

describe("what an app has under way, however much", () => {
  it("keeps neither what the endpoint asks by itself waiting nor another app", async () => {
    const server = createServer(({ url }, response) => {
      if (url === "/_up") response.end("{}");
      else response.flushHeaders();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const backend = new Backend({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    for (let feed = 0; feed < 300; feed += 1)
      backend
        .open("shop", "GET", "/shop/_changes", {})
        .on("error", () => {})
        .end();
    expect((await backend.ask("GET", "/_up")).status).toBe(200);
    const [{ statusCode }] = await once(backend.open("blog", "GET", "/blog/_changes", {}).end(), "response");
    expect(statusCode).toBe(200);
    backend.close();
    server.closeAllConnections();
    server.close();
  });
});
