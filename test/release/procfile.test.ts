import { expect, test } from "vitest";
import { parseProcfile } from "../../src/release/procfile.ts";

test("types and commands are read in order, around comments, blank lines, CRLF and colons in commands", () => {
  const text =
    "# first\r\nweb: node a.js --url http://x:1\r\n\r\n  worker-2 :  sh -c 'a; b' \r\n#done\r\nrelease: migrate";
  expect([...parseProcfile(text)]).toEqual([
    ["web", "node a.js --url http://x:1"],
    ["worker-2", "sh -c 'a; b'"],
    ["release", "migrate"],
  ]);
});

test("processes without a web are enough", () => {
  expect([...parseProcfile("worker: node b.js")]).toEqual([["worker", "node b.js"]]);
});

test.each([
  ["a line without a colon", "web: a\nnode b.js", 2],
  ["a strange process type", "web: a\n\nwéb: b", 3],
  ["a process type with a space", "web server: b", 1],
  ["a type that objects cannot hold", "__proto__: b", 1],
  ["a type without a command", "web:", 1],
  ["a type that is there twice", "web: a\nweb: b", 2],
  ["a NUL character", "web: a\0b", 1],
])("%s is refused, and its line named", (_, text, line) => {
  expect(() => parseProcfile(text)).toThrow(
    expect.objectContaining({ code: "BAD_INPUT", details: { file: "Procfile", line } }),
  );
});

test.each(["", "release: migrate", "# web: a"])(
  "%j declares nothing that stays running, and is refused",
  (text) => {
    expect(() => parseProcfile(text)).toThrow(/no process to run/);
  },
);
