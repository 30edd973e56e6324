import { expect, it } from "vitest";
import { requestIdLength, writeRequestId } from "../../src/proxy/bytes/request-id.ts";

const form = /^X-Request-Id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n$/;

it("is a UUID that no other request has", () => {
  const into = Buffer.alloc(requestIdLength + 1);
  const seen = new Set<string>();
  for (let count = 0; count < 70_000; count += 1) {
    const length = writeRequestId(into, 1);
    seen.add(into.toString("latin1", 1, 1 + length));
  }
  expect(seen.size).toBe(70_000);
  expect([...seen].filter((line) => !form.test(line))).toEqual([]);
});
