import { describe, expect, it } from "vitest";
import { parseServerUrl } from "../../src/data/endpoint/backend.ts";

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
