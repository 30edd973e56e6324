import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { Backend, parseServerUrl } from "../../src/data/endpoint/backend.ts";

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

describe("what the endpoint asks by itself", () => {
  it("does not wait behind the feeds of apps, however many there are", async () => {
    const server = createServer(({ url }, response) => {
      if (url === "/_up") response.end("{}");
      else response.flushHeaders();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const backend = new Backend({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    for (let feed = 0; feed < 300; feed += 1)
      backend
        .open("GET", "/shop/_changes", {})
        .on("error", () => {})
        .end();
    expect((await backend.ask("GET", "/_up")).status).toBe(200);
    backend.close();
    server.closeAllConnections();
    server.close();
  });
});
