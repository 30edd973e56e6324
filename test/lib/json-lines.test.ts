import { expect, test } from "vitest";
import { JsonLines } from "../../src/lib/json-lines.ts";

function collect(maxBytes = 100) {
  const values: unknown[] = [];
  const lines = new JsonLines({ maxBytes, onValue: (value) => values.push(value) });
  return { values, push: (text: string) => lines.push(Buffer.from(text)) };
}

test("each line is a value, however the stream was cut", () => {
  const text = '{"a":1}\n[2]\n\n  \n"é"\r\n';
  for (let size = 1; size <= text.length; size += 1) {
    const { values } = collect();
    const lines = new JsonLines({ maxBytes: 100, onValue: (value) => values.push(value) });
    const bytes = Buffer.from(text);
    for (let from = 0; from < bytes.length; from += size) lines.push(bytes.subarray(from, from + size));
    expect(values).toEqual([{ a: 1 }, [2], "é"]);
  }
});

test("a line without its end is not a value yet", () => {
  const { values, push } = collect();
  push('{"a":');
  expect(values).toEqual([]);
  push("1}\n");
  expect(values).toEqual([{ a: 1 }]);
});

test("what was pushed may be overwritten afterwards", () => {
  const { values } = collect();
  const lines = new JsonLines({ maxBytes: 100, onValue: (value) => values.push(value) });
  const shared = Buffer.from('["one');
  lines.push(shared);
  shared.fill("x");
  lines.push(Buffer.from('"]\n'));
  expect(values).toEqual([["one"]]);
});

test("a line that is too long is an error, also before its end has come", () => {
  const { push } = collect(10);
  push('"12345678"\n');
  expect(() => push('"12345')).not.toThrow();
  expect(() => push("678901")).toThrow(RangeError);
});

test("a line that is not JSON is an error, and those before it were values", () => {
  const { values, push } = collect();
  expect(() => push("1\nnonsense\n")).toThrow(SyntaxError);
  expect(values).toEqual([1]);
});
