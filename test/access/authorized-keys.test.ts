import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { AuthorizedKeys } from "../../src/access/authorized-keys.ts";

function fileWith(text: string | null): string {
  const directory = mkdtempSync(join(tmpdir(), "maestro-authorized-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, ".ssh", "authorized_keys");
  if (text !== null) {
    mkdirSync(dirname(path));
    writeFileSync(path, text);
  }
  return path;
}

const alice = {
  command: '/x/node "/y z/gate.js" --key alice',
  type: "ssh-ed25519",
  blob: "AAAA1",
  comment: "maestro:alice",
};
const aliceLine =
  'restrict,command="/x/node \\"/y z/gate.js\\" --key alice" ssh-ed25519 AAAA1 maestro:alice\n';
const others = '# by hand\n\nfrom="10.0.0.1" ssh-rsa AAAA9 root\nssh-rsa AAAA8 without an end';

describe("the file of authorized keys", () => {
  it("is made with its directory, as sshd will trust it, and left without our lines", async () => {
    const path = fileWith(null);
    const keys = new AuthorizedKeys(path);
    await keys.put(alice);
    expect(readFileSync(path, "utf8")).toBe(aliceLine);
    expect(statSync(path).mode & 0o022).toBe(0);
    expect(statSync(dirname(path)).mode & 0o022).toBe(0);
    await keys.remove(alice.command);
    expect(readFileSync(path, "utf8").trim()).toBe("");
  });

  it("keeps every other line, byte for byte, and its own mode", async () => {
    const path = fileWith(others);
    chmodSync(path, 0o600);
    const keys = new AuthorizedKeys(path);
    await keys.put(alice);
    expect(readFileSync(path, "utf8")).toBe(`${others}\n${aliceLine}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await keys.put({ ...alice, blob: "AAAA2" });
    expect(readFileSync(path, "utf8")).toBe(`${others}\n${aliceLine.replace("AAAA1", "AAAA2")}`);
    await keys.remove(alice.command);
    expect(readFileSync(path, "utf8")).toBe(`${others}\n`);
    expect(readdirSync(dirname(path))).toEqual(["authorized_keys"]);
  });

  it("is not touched where there is nothing to remove, or where it is not there", async () => {
    const path = fileWith(others);
    await new AuthorizedKeys(path).remove(alice.command);
    expect(readFileSync(path, "utf8")).toBe(`${others}\n`.slice(0, readFileSync(path, "utf8").length));
    const none = fileWith(null);
    await new AuthorizedKeys(none).remove(alice.command);
    expect(existsSync(none)).toBe(false);
  });

  it("refuses a key that has a line of somebody else's: sshd would go by whichever comes first", async () => {
    const path = fileWith(others);
    const put = new AuthorizedKeys(path).put({ ...alice, blob: "AAAA9" });
    await expect(put).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.stringContaining("already"),
    });
    expect(readFileSync(path, "utf8")).toBe(others);
  });

  it("may be a link, and stays one", async () => {
    const real = fileWith("");
    const link = `${real}.link`;
    symlinkSync(real, link);
    await new AuthorizedKeys(link).put(alice);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(real, "utf8")).toContain("AAAA1");
  });
});
