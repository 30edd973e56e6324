import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";

const run = promisify(execFile);
const program = "/usr/sbin/sshd";

export type Ran = { code: number | null; stdout: string; stderr: string };

/** Somebody with a key, and a ssh that knows nothing else of this machine's user. */
export type Developer = { name: string; publicKey: string; key: string; config: string };

/**
 * A real sshd on a free loopback port, with keys of its own. It allows all that it can: what is refused is refused by a
 * key's line.
 */
export class TestSshd implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #authorizedKeys: string | null;
  #connections = 0;

  private constructor(directory: string, port: number, child: ChildProcess, authorizedKeys: string | null) {
    this.directory = directory;
    this.port = port;
    this.#child = child;
    this.#authorizedKeys = authorizedKeys;
  }

  /** `authorizedKeys`: the one file that it reads; without, that in the home of whoever logs in. */
  static async start({ authorizedKeys }: { authorizedKeys?: string } = {}): Promise<TestSshd> {
    const directory = await mkdtemp(join(tmpdir(), "maestro-sshd-"));
    await chmod(directory, 0o755);
    await keygen(join(directory, "host"));
    const port = await freePort();
    const config = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${join(directory, "host")}`,
      `PidFile ${join(directory, "pid")}`,
      `AuthorizedKeysFile ${authorizedKeys ?? ".ssh/authorized_keys"}`,
      // A file below /tmp, where everybody may write, would not be trusted.
      `StrictModes ${authorizedKeys === undefined ? "yes" : "no"}`,
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "AllowTcpForwarding yes",
      "AllowAgentForwarding yes",
      "AllowStreamLocalForwarding yes",
      "X11Forwarding yes",
      "PermitTTY yes",
      "PermitUserRC yes",
      "AcceptEnv *",
      "Subsystem sftp internal-sftp",
      "MaxStartups 100",
      "LogLevel VERBOSE",
    ];
    await writeFile(join(directory, "sshd_config"), `${config.join("\n")}\n`);
    // Where the unprivileged part of sshd is locked up; Debian makes it when the service starts.
    if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    const child = spawn(program, ["-D", "-e", "-f", join(directory, "sshd_config")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const sshd = new TestSshd(directory, port, child, authorizedKeys ?? null);
    await sshd.#listening(child);
    return sshd;
  }

  async #listening(child: ChildProcess): Promise<void> {
    if (child.stderr === null) throw new Error("its output is a pipe");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    child.once("error", () => reject(new Error(`${program} is missing: apt-get install openssh-server`)));
    const said: string[] = [];
    child.once("exit", (code) => reject(new Error(`sshd exited with ${code}: ${said.join("\n")}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      if (line.includes("Server listening")) resolve();
      if (line.startsWith("Accepted publickey")) this.#connections++;
    });
    await promise;
  }

  /** How many have been let in so far. */
  get connections(): number {
    return this.#connections;
  }

  get authorizedKeys(): string | null {
    return this.#authorizedKeys;
  }

  /** Somebody who knows this server's host key, or who knows another. */
  async developer(name: string, { hostKey = "" } = {}): Promise<Developer> {
    const key = join(this.directory, name);
    await keygen(key);
    const known = hostKey || (await readFile(join(this.directory, "host.pub"), "utf8"));
    await writeFile(join(this.directory, `${name}.known`), `maestro-test ${known}`);
    const config = [
      `IdentityFile ${key}`,
      "IdentitiesOnly yes",
      // The same server, by whatever port it is reached.
      "HostKeyAlias maestro-test",
      "IdentityAgent none",
      `UserKnownHostsFile ${join(this.directory, `${name}.known`)}`,
      "GlobalKnownHostsFile /dev/null",
      "BatchMode yes",
    ];
    await writeFile(join(this.directory, `${name}.config`), `${config.join("\n")}\n`);
    return { name, publicKey: `${key}.pub`, key, config: join(this.directory, `${name}.config`) };
  }

  /** ssh as a developer would type it. */
  async ssh(who: Developer, user: string, words: readonly string[], input = ""): Promise<Ran> {
    return runProgram("ssh", ["-F", who.config, "-p", String(this.port), `${user}@127.0.0.1`, ...words], {
      input,
    });
  }

  /** Ends every connection that there is, as a network does that goes away; new ones are taken. */
  async cutConnections(): Promise<void> {
    const pid = this.#child.pid ?? 0;
    const { stdout } = await run("ps", ["-o", "pid=", "--ppid", String(pid)]);
    for (const child of stdout.split("\n").map(Number)) if (child > 1) process.kill(child, "SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await exited;
    }
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function keygen(path: string): Promise<void> {
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]);
}

/** Runs a program to its end; a failure is not thrown. */
export async function runProgram(
  name: string,
  args: readonly string[],
  { input = "", env = {}, cwd }: { input?: string; env?: Record<string, string>; cwd?: string } = {},
): Promise<Ran> {
  const child = spawn(name, [...args], {
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdio: "pipe",
  });
  child.stdin.on("error", () => {}); // It may end before it has read all.
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { code, stdout, stderr };
}

/** As whom developers log in here: root's Maestro makes a user of its own, and everybody else is himself. */
export const sshUserOfTest = () =>
  process.getuid?.() === 0 ? `maestro-t${process.pid}` : userInfo().username;

/** Removes the user that a test's Maestro has made. */
export async function removeSshUser(name: string): Promise<void> {
  if (process.getuid?.() === 0) {
    // -f: a session of his may be about to end.
    await run("/usr/sbin/userdel", ["-f", name]).catch(() => {}); // It was not made.
  }
}
