import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { quoted } from "../../src/lib/shell-words.ts";

const readBack = (word: string) =>
  execFileSync("/bin/sh", ["-s"], { input: `printf %s ${quoted(word)}\n`, encoding: "utf8" });

describe("a quoted word", () => {
  it.each([
    "",
    " two  words ",
    "it's",
    "''",
    "'; touch /tmp/never; '",
    "$(id) `id` $HOME \\ \\' \"",
    "a\nb\r\n\tc",
    "-n",
    "~ * ? [a] # ! {a,b}",
    "ü 🎉",
    "x".repeat(100_000),
  ])("is read back by a shell as it was: %j", (word) => {
    expect(readBack(word)).toBe(word);
  });

  it("cannot hold a NUL", () => {
    expect(() => quoted("a\0b")).toThrow("NUL");
  });
});
