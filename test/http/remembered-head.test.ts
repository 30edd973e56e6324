import { describe, expect, it } from "vitest";
import { kinds } from "../../src/http/fields.ts";
import { RequestHead } from "../../src/http/request.ts";

const lines = ["GET /a", "GET /a-longer/path?and=query", "PUT /a", "POST /b", "COPY /a", "OPTIONS *"];
const fields = [
  "Host: db\r\nAuthorization: Basic YQ==\r\n",
  "Host: db\r\nAuthorization: Basic YQ=+\r\n",
  "Host: db\r\nAuthorization: Basic YQ==\r\nContent-Length: 12\r\n",
  "Host: db\r\nTransfer-Encoding: chunked\r\nConnection: close, X\r\nX: 1\r\n",
  "Host: db\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
  "Host: db\r\nExpect: 100-continue\r\nContent-Length: 1\r\n",
  "Host: db\r\n",
];

/** All that a head says, or why it is refused. */
function said(head: RequestHead, bytes: Buffer, from: number): unknown {
  try {
    if (!head.read(bytes, from, bytes.length)) return "more";
  } catch (error) {
    return String(error);
  }
  const { start, end, host, isUncommon, isChunked, contentLength, expectsContinue, upgrade } = head;
  const { method, isKept, named, isRepeatable } = head;
  const values = Array.from({ length: head.fields.count }, (_, index) => [
    head.fields.kind(index),
    head.fields.start(index),
    head.fields.nameLength(index),
    head.fields.value(bytes, index),
  ]);
  const facts = { start, end, host, isUncommon, isChunked, contentLength, expectsContinue, upgrade };
  return {
    ...facts,
    method,
    isKept,
    named,
    isRepeatable,
    values,
    last: head.fields.end,
    target: head.target(bytes),
  };
}

describe("a head that remembers the one before", () => {
  it("says of each what one that remembers nothing says", () => {
    const remembering = new RequestHead({ isRemembering: true });
    let alike = 0;
    let seed = 7;
    const pick = <T>(list: readonly T[]): T | undefined => {
      seed = (seed * 48_271) % 2_147_483_647;
      return list[seed % list.length];
    };
    for (let round = 0; round < 5000; round += 1) {
      const before = "x".repeat(round % 5);
      const whole = `${before}${pick(lines)} HTTP/1.${pick([1, 1, 1, 0])}\r\n${pick(fields)}\r\n`;
      const bytes = Buffer.from(pick([0, 1, 1, 1]) === 0 ? whole.slice(0, -1 - (round % 60)) : whole);
      const expected = said(new RequestHead(), bytes, before.length);
      expect(said(remembering, bytes, before.length), whole).toEqual(expected);
      if (remembering.isLikeBefore) alike += 1;
    }
    expect(alike).toBeGreaterThan(100);
  });

  it("keeps to its limit, and forgets fields that mean something else with another method", () => {
    const head = new RequestHead({ most: 100, isRemembering: true });
    const read = (line: string, more: string) => {
      const bytes = Buffer.from(`${line} HTTP/1.1\r\nHost: db\r\n${more}\r\n`);
      return head.read(bytes, 0, bytes.length);
    };
    expect(read("GET /", "")).toBe(true);
    expect(read("GET /", "")).toBe(true);
    expect(head.isLikeBefore).toBe(true);
    expect(() => read(`GET /${"x".repeat(100)}`, "")).toThrow("too large");
    const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    expect(read("PUT /", upgrade)).toBe(true);
    expect(head.upgrade).toBe(null);
    expect(read("GET /", upgrade)).toBe(true);
    expect(head.upgrade).toBe("websocket");
    expect(head.fields.kind(2)).toBe(kinds.upgrade);
  });
});
