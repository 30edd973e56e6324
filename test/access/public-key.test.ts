import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { parsePublicKey } from "../../src/access/public-key.ts";

/** A key as ssh-keygen makes it: the text of its two files, and the fingerprint that it tells. */
function generate(...words: string[]): { text: string; secret: string; fingerprint: string } {
  const directory = mkdtempSync(join(tmpdir(), "maestro-key-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "key");
  execFileSync("ssh-keygen", ["-q", "-N", "", "-C", "alice@laptop", "-f", path, ...words]);
  const told = execFileSync("ssh-keygen", ["-l", "-f", `${path}.pub`], { encoding: "utf8" });
  return {
    text: readFileSync(`${path}.pub`, "utf8"),
    secret: readFileSync(path, "utf8"),
    fingerprint: told.split(" ")[1] ?? "",
  };
}

const ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBq1Aj6LkhD0o5bZeWGbJqQ7sGQ9Jw0vEo5lTzVwSxXN";

describe("a public key", () => {
  it.each([
    ["ed25519", ["-t", "ed25519"]],
    ["RSA", ["-t", "rsa", "-b", "2048"]],
    ["P-256", ["-t", "ecdsa", "-b", "256"]],
    ["P-384", ["-t", "ecdsa", "-b", "384"]],
    ["P-521", ["-t", "ecdsa", "-b", "521"]],
  ])("of the kind %s is taken as ssh-keygen writes it, without its comment", (_, words) => {
    const { text, fingerprint } = generate(...words);
    const key = parsePublicKey(text);
    expect(key.fingerprint).toBe(fingerprint);
    expect(text).toBe(`${key.type} ${key.blob} alice@laptop\n`);
  });

  it("may come from Windows, and with lines around it that say nothing", () => {
    expect(parsePublicKey(`# alice\r\n${ed25519} alice\r\n\r\n`).type).toBe("ssh-ed25519");
  });

  it.each([
    ["nothing", "", "is empty"],
    ["options before it", `command="id" ${ed25519}`, "options before the key"],
    ["two of them", `${ed25519}\n${ed25519}\n`, "more than one line"],
    ["a line feed of another kind in it", `${ed25519}\u000bssh-rsa`, "control characters"],
    ["an unknown type", "ssh-dss AAAA", "no type of key"],
    ["a type that every object has", "constructor AAAA", "no type of key"],
    ["another type than it says", ed25519.replace("ssh-ed25519", "ssh-rsa"), "does not fit"],
    ["no base64", "ssh-ed25519 !!!!", "base64"],
    ["base64 with something behind", `${ed25519}=`, "base64"],
    ["half of it", ed25519.slice(0, 40), "does not fit"],
    ["a length beyond its end", "ssh-ed25519 /////w==", "does not fit"],
    [
      "bytes behind it",
      `ssh-ed25519 ${Buffer.concat([Buffer.from(ed25519.split(" ")[1] ?? "", "base64"), Buffer.from([0, 0, 0, 0])]).toString("base64")}`,
      "does not fit",
    ],
    ["a novel", "x".repeat(20_000), "too long"],
  ])("that is %s is refused", (_, text, mention) => {
    expect(() => parsePublicKey(text)).toThrow(mention);
  });

  it("that is a private one is refused, and not repeated", () => {
    const { secret } = generate("-t", "ed25519");
    expect(() => parsePublicKey(secret)).toThrow(/is a private key.*\.pub file$/);
  });

  it("of RSA has to be long enough", () => {
    const modulus = Buffer.concat([Buffer.from([0, 0, 0, 129, 0]), Buffer.alloc(128, 0xff)]);
    const head = Buffer.concat([
      Buffer.from([0, 0, 0, 7]),
      Buffer.from("ssh-rsa"),
      Buffer.from([0, 0, 0, 1, 3]),
    ]);
    expect(() => parsePublicKey(`ssh-rsa ${Buffer.concat([head, modulus]).toString("base64")}`)).toThrow(
      "1024 bits",
    );
  });
});
