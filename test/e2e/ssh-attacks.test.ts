import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import {
  chmod,
  chown,
  copyFile,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { freePort } from "../support/free-port.ts";
import { fixture, repository } from "../support/maestro.ts";
import { SshWorld } from "../support/ssh-world.ts";
import { type Developer, runProgram } from "../support/sshd.ts";

let world: SshWorld;
let alice: Developer;
let bob: Developer;
beforeAll(async () => {
  world = await SshWorld.start();
  alice = await world.developer("alice", "blog");
  bob = await world.developer("bob", "shop");
  for (const [who, app] of [
    [alice, "blog"],
    [bob, "shop"],
  ] as const) {
    expect(await world.deploy(who, fixture("traffic"), "--app", app)).toMatchObject({ code: 0 });
    await rm(join(fixture("traffic"), ".maestro.json"), { force: true });
  }
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function directory(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "maestro-attack-"));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

const audit = async () => (await world.maestro.client()).call("audit", { entries: 1000 });

/** What rsync of a developer asks of the server, before it is changed. */
const server = "rsync --server -logDtpre.iLsfxCIvu";

describe("the key of a developer", () => {
  it.each([
    ["a shell", ["sh"]],
    ["a command", ["id"]],
    ["a command behind an allowed one", [`${server} . blog/; id`]],
    ["a command behind a line feed", [`${server} . blog/\nid`]],
    ["a command in place of the app", [`${server} . $(id)/`]],
    ["words behind a session", ["maestro session now"]],
    ["sftp as a command", ["/usr/lib/openssh/sftp-server"]],
    ["scp", ["scp -t ."]],
    ["reading by rsync", ["rsync --server --sender -logDtpre.iLsfxCIvu . blog/"]],
    ["reading by git", ["git-upload-pack 'blog.git'"]],
    ["reading an archive by git", ["git-upload-archive 'blog.git'"]],
    ["the directory above", [`${server} . ../`]],
    ["the app's directory itself", [`${server} . blog/../`]],
    ["an app by a way around", [`${server} . blog/../shop/`]],
    ["a path", [`${server} . /etc/`]],
    ["what lies behind a symlink", [`${server} . blog/link/`]],
    ["rsync's daemon", ["rsync --server --daemon ."]],
    ["another program of rsync's", [`${server} --rsync-path=id . blog/`]],
    ["another shell of rsync's", [`${server} -e id . blog/`]],
    ["a list of files to read", [`${server} --files-from=/etc/passwd . blog/`]],
    ["a log file to write", [`${server} --log-file=/tmp/maestro-attack . blog/`]],
    ["a directory for temporary files", [`${server} --temp-dir=/tmp . blog/`]],
    ["a directory for cut-off files", [`${server} --partial-dir /tmp . blog/`]],
    ["a directory for backups", [`${server} --backup-dir=/tmp -b . blog/`]],
    ["files of a neighbour to link to", [`${server} --link-dest=../../shop/incoming . blog/`]],
    ["files of a neighbour to compare with", [`${server} --copy-dest ../../shop/incoming . blog/`]],
    ["devices to write", [`${server} --write-devices . blog/`]],
    ["symlinks to follow", ["rsync --server -lKtre.iLsfxCIvu . blog/"]],
    ["arguments that come later", ["rsync --server -slogDtpre.iLsfxCIvu"]],
    ["an option without an end", [`${server} --partial-dir`]],
    ["another repository", ["git-receive-pack 'shop.git'"]],
    ["a repository by its path", ["git-receive-pack '/tmp/blog.git'"]],
    ["a repository above", ["git-receive-pack '../blog.git'"]],
    ["an option of git", ["git-receive-pack --stateless-rpc 'blog.git'"]],
    ["a command behind a push", ["git-receive-pack 'blog.git';id'"]],
  ])("is refused %s", async (_, words) => {
    const before = (await audit()).length;
    const { code, stdout, stderr } = await world.sshd.ssh(alice, world.user, words);
    expect(code).not.toBe(0);
    expect(stdout).not.toMatch(/uid=|root:/);
    expect(stderr).toContain("maestro: ");
    const noted = (await audit()).slice(before);
    expect(noted).toMatchObject([{ by: "key alice", from: "127.0.0.1", outcome: "refused" }]);
  });

  it.each([
    ["a terminal", ["-tt"]],
    ["the subsystem for sftp", ["-s", "sftp"]],
  ])("is refused %s, of which ssh does not show what is said", async (_, words) => {
    const before = (await audit()).length;
    const { code, stdout } = await world.sshd.ssh(alice, world.user, words);
    expect({ code, stdout }).toEqual({ code: expect.any(Number), stdout: "" });
    expect(code).not.toBe(0);
    await vi.waitUntil(async () => (await audit()).length > before, { timeout: 10_000 });
    expect((await audit()).slice(before)).toMatchObject([{ by: "key alice", outcome: "refused" }]);
  });

  it("is refused each kind of forwarding", async () => {
    // A port could be somebody else's by then.
    const near = join(await directory(), "near");
    const rpc = world.maestro.rpc;
    const stdio = await world.sshd.ssh(alice, world.user, ["-W", rpc]);
    expect(stdio).toMatchObject({
      code: 255,
      stderr: expect.stringContaining("administratively prohibited"),
    });
    const remote = await world.sshd.ssh(alice, world.user, [
      "-o",
      "ExitOnForwardFailure=yes",
      "-N",
      "-R",
      `0:${rpc}`,
    ]);
    expect(remote).toMatchObject({
      code: 255,
      stderr: expect.stringContaining("remote port forwarding failed"),
    });

    const words = [
      "-F",
      alice.config,
      "-p",
      String(world.sshd.port),
      "-L",
      `${near}:${rpc}`,
      "-D",
      `127.0.0.1:${await freePort()}`,
      "-N",
      "-v",
    ];
    const tunnel = spawn("ssh", [...words, `${world.user}@127.0.0.1`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const lines = createInterface({ input: tunnel.stderr });
    for await (const line of lines) if (line.includes("Entering interactive session")) break;
    const socket = connect(near);
    socket.on("error", () => {});
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk;
    });
    await once(socket, "close");
    expect(received).toBe("");
    tunnel.kill("SIGKILL"); // ssh can miss a signal that comes just before it waits for the network again.
    await once(tunnel, "exit");
  });

  it("is given neither the developer's agent nor his screen, even where he offers them", async () => {
    const words = [
      "-F",
      alice.config,
      "-p",
      String(world.sshd.port),
      "-vvv",
      "-A",
      "-X",
      `${world.user}@127.0.0.1`,
      "id",
    ];
    const agent = join(await directory(), "agent");
    const env = { SSH_AUTH_SOCK: agent, DISPLAY: ":77" };
    const holder = spawn("ssh-agent", ["-D", "-a", agent], { stdio: ["ignore", "pipe", "ignore"] });
    await once(holder.stdout, "data");
    const { stderr } = await runProgram("ssh", words, { env });
    expect(stderr).not.toMatch(/client_request_agent|client_request_x11/);
    expect(stderr).not.toMatch(/uid=/);
    holder.kill();
    await once(holder, "exit");
  });

  it("reads no file outside of its app by rules for rsync that name one", async ({ skip }) => {
    skip(process.getuid?.() !== 0, "only root can ask as somebody who cannot read the file himself");
    // Such a rule is looked for in each directory above what is received.
    const secret = join(world.maestro.home, "secret.txt");
    await writeFile(secret, "SECRET-OF-MAESTRO\n", { mode: 0o600 });
    const { uid, gid } = await stat(world.incoming("shop"));
    await chown(secret, uid, gid);
    const source = await directory();
    await chmod(source, 0o755);
    const nobody = 65534;
    const key = join(source, "key");
    await copyFile(alice.key, key);
    await chown(key, nobody, nobody);
    const config = (await readFile(alice.config, "utf8")).replace(alice.key, key);
    await writeFile(join(source, "config"), config);
    await writeFile(join(source, "a"), "");
    const asked = await runProgram("setpriv", [
      ...[`--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--", "rsync", "-a", "--delete"],
      // Only the server is to read the file: r of FILTER RULES in rsync(1).
      `--filter=:r ${secret}`,
      `--rsh=ssh -F ${join(source, "config")} -p ${world.sshd.port}`,
      `${source}/`,
      `${world.user}@127.0.0.1:blog/`,
    ]);
    expect(asked).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("writes nothing through a symlink that it has sent", async () => {
    const outside = await directory();
    const source = await directory();
    await symlink(outside, join(source, "way-out"));
    const target = `${world.user}@127.0.0.1:blog/`;
    expect(await world.rsync(alice, "-a", `${source}/`, target)).toMatchObject({ code: 0 });
    await rm(join(source, "way-out"));
    await runProgram("mkdir", [join(source, "way-out")]);
    await writeFile(join(source, "way-out", "planted"), "");
    await world.rsync(alice, "-a", `${source}/`, target);
    expect(await readdir(outside)).toEqual([]);
    expect(existsSync(world.incoming("blog", "way-out", "planted"))).toBe(true);
  });

  it("calls no operation on another app, and none on all of Maestro", async () => {
    for (const words of [
      ["logs", "shop"],
      ["restart", "shop"],
      ["remove", "shop"],
      ["stop"],
      ["apps"],
      ["keys"],
      ["status"],
      ["reload"],
    ]) {
      const { code, stderr } = await world.run(alice, ["--to", world.to(), ...words]);
      expect(code, words.join(" ")).not.toBe(0);
      expect(stderr, words.join(" ")).toMatch(/may not call/);
    }
    expect(await (await world.maestro.client()).call("ps", { app: "shop" })).toHaveLength(1);
  });

  it("can be used for nothing more from the moment when it is removed, and what it is used for ends", async () => {
    const carol = await world.developer("carol", "blog");
    const env = { ...process.env, MAESTRO_SSH: `ssh -F ${carol.config}` };
    const since = world.maestro.logLength;
    const following = spawn(join(repository, "bin/maestro"), ["logs", "blog", "-f", "--to", world.to()], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(following, "exit");
    await world.maestro.until("access.session", (entry) => entry["key"] === "carol", since);
    await (await world.maestro.client()).call("keys_remove", { key: "carol" });
    const [code] = await ended;
    expect(code).toBe(1);
    const { stderr } = await world.deploy(carol, fixture("traffic"), "--app", "blog");
    expect(stderr).toContain("takes none of your SSH keys");
  });

  it("is a line in authorized_keys that allows one program, beside lines that stay as they were", async () => {
    const { file } = await (await world.maestro.client()).call("keys_add", {
      key: "alice",
      publicKey: await readFile(alice.publicKey, "utf8"),
      apps: ["blog"],
    });
    const own = "# mine\nssh-ed25519 AAAAsomebody else\n";
    await writeFile(file, `${own}${await readFile(file, "utf8")}`);
    const dave = await world.developer("dave", "blog");
    const text = await readFile(file, "utf8");
    expect(text.startsWith(own)).toBe(true);
    const line = text.split("\n").find((candidate) => candidate.endsWith("maestro:dave"));
    expect(line).toMatch(
      /^restrict,command="\/\S+\/access\/node \/\S+\/gate\.js --key dave" ssh-ed25519 AAAA\S+ maestro:dave$/,
    );
    await (await world.maestro.client()).call("keys_remove", { key: dave.name });
    expect(await readFile(file, "utf8")).not.toContain("dave");
    expect((await readFile(file, "utf8")).startsWith(own)).toBe(true);
  });
});
