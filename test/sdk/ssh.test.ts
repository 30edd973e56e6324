import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { rsyncArguments } from "../../sdk/rsync-arguments.ts";
import { type CopyProgress, RsyncOutput } from "../../sdk/rsync-output.ts";
import { SshHost } from "../../sdk/ssh.ts";
import { parseSshAddress, sshServer } from "../../sdk/ssh-address.ts";
import { sshFailure } from "../../sdk/ssh-failure.ts";
import { directoryWith } from "./support.ts";

describe("the address of a server by SSH", () => {
  it.each([
    ["maestro@example.com", { user: "maestro", host: "example.com" }],
    ["example.com:2222", { host: "example.com", port: 2222 }],
    ["ssh://m@10.0.0.1:22", { user: "m", host: "10.0.0.1", port: 22 }],
    ["m@[::1]:22", { user: "m", host: "::1", port: 22 }],
    ["alias", { host: "alias" }],
  ])("is read from %s", (text, address) => {
    expect(parseSshAddress(text)).toEqual(address);
    expect(parseSshAddress(sshServer(text))).toEqual(address);
  });

  it.each([
    "",
    "-oProxyCommand=id",
    "m@-h",
    "-l@h",
    "m@h:0",
    "m@h:70000",
    "m@h;id",
    "m@h h",
    "m@h/x",
    "$(id)@h",
    "m@[x]",
    "a@b@c",
  ])("is not %j", (text) => {
    expect(() => parseSshAddress(text)).toThrow(/is not a server/);
  });
});

describe("rsync to a server by SSH", () => {
  it("is given its arguments as they are: no shell reads them", () => {
    const target = new SshHost("ssh://m@[::1]:2222", "ssh -F /a/config").rsyncTarget("blog");
    const args = rsyncArguments('/home/me/it\'s $(mine) & "all"', target.destination, target);
    expect(args.slice(-3)).toEqual(["--", '/home/me/it\'s $(mine) & "all"/', "m@[::1]:blog/"]);
    const rsh = args.find((argument) => argument.startsWith("--rsh=")) ?? "";
    expect(rsh).toMatch(/^--rsh=ssh -F \/a\/config -o ControlMaster=auto .* -p 2222$/);
    expect(args).toContain("--partial-dir=.maestro-partial");
  });

  it("is heard while it goes on, however its words are cut", () => {
    const told: CopyProgress[] = [];
    const output = new RsyncOutput((progress) => told.push(progress));
    const said =
      "<f+++++++++|a.js\n          1,000  50%    1.00MB/s    0:00:01 (xfr#1, to-chk=3/4)\r" +
      "          2,000 100%    1.00MB/s    0:00:01 (xfr#2, to-chk=0/4)\r\n*deleting  |gone\n*deleting  |gone.d/\n.d..t......|./\n<f.st......|b|c\n";
    for (const piece of said.match(/.{1,7}/gs) ?? []) output.push(piece);
    expect(output.report).toEqual({ changed: 2, deleted: 1 });
    expect(told).toEqual([
      { bytes: 1000, totalBytes: 2000, files: 1, totalFiles: 4 },
      { bytes: 2000, totalBytes: 2000, files: 4, totalFiles: 4 },
    ]);
  });
});

describe("ssh that was not let in yet", () => {
  it("is ended at once when nobody waits for it any more: it may be asking for a password", async () => {
    const program = join(await directoryWith(), "ssh");
    await writeFile(program, "#!/bin/sh\nexec tail -f /dev/null\n", { mode: 0o755 });
    vi.useFakeTimers({ toFake: ["setTimeout"] }); // The patience with one that says good-bye never ends.
    try {
      const link = new SshHost("ssh://m@example.com", program).openSession();
      link.end();
      expect((await link.closed).message).toContain("ended the session");
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a session by SSH that fails", () => {
  const address = { user: "m", host: "example.com" };

  it.each([
    [
      "ssh: Could not resolve hostname example.com: Name or service not known",
      "there is no server of the name",
    ],
    [
      "ssh: connect to host example.com port 22: Connection timed out",
      "cannot reach m@example.com by SSH (Connection timed out)",
    ],
    ["m@example.com: Permission denied (publickey).", "takes none of your SSH keys"],
    ["Host key verification failed.", "is not known here yet"],
    ["maestro: the key alice has been removed", "m@example.com says: the key alice has been removed"],
    ["something new", "ended the session (something new)"],
  ])("is told in a sentence: %s", (line, sentence) => {
    expect(sshFailure(address, [line]).message).toContain(sentence);
  });

  it("may be tried again only when it was cut off", () => {
    expect(sshFailure(address, []).details).toMatchObject({ lost: true });
    expect(sshFailure(address, ["m@h: Permission denied (publickey)."]).details).not.toHaveProperty("lost");
  });
});
