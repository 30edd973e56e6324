import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { isIPv6 } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Link } from "./link.ts";
import { parseSshAddress, type SshAddress } from "./ssh-address.ts";
import { sshFailure } from "./ssh-failure.ts";

/** How long ssh may take to end once its session has, ms. */
const lingerMs = 2000;
const keptLines = 20;

/**
 * A server as ssh(1) reaches it. All sessions share one connection (ControlMaster of ssh_config(5)), so that only the
 * first has to be let in, and that the server knows them to belong together.
 */
export class SshHost {
  readonly #address: SshAddress;
  readonly #words: readonly [string, ...string[]];
  #directory: string | null = null;

  /** `command`: ssh and its first options, as words with spaces between them. Default: `MAESTRO_SSH`, else "ssh". */
  constructor(server: string, command = process.env["MAESTRO_SSH"] ?? "ssh") {
    this.#address = parseSshAddress(server);
    const [program = "ssh", ...options] = command.split(" ").filter((word) => word !== "");
    this.#words = [program, ...options];
  }

  /** Opens a session with the Maestro of the server. */
  openSession(): Link {
    const [program, ...words] = this.#command();
    const { user, host } = this.#address;
    const ssh = spawn(program, [...words, ...(user ? ["-l", user] : []), "--", host, "maestro session"], {
      stdio: "pipe",
    });
    ssh.stdin.on("error", () => {}); // How it ended is told below.
    let isLetIn = false;
    return {
      closed: this.#closed(ssh),
      write: (text) => void ssh.stdin.write(text),
      onData(listener) {
        ssh.stdout.on("data", listener).once("data", () => {
          isLetIn = true;
        });
      },
      end: () => {
        // It may be asking a person for a password.
        if (!isLetIn) ssh.kill();
        // ssh says good-bye by itself: nobody has to wait for that.
        ssh.stdin.end(() => {
          ssh.stdout.destroy();
          ssh.stderr.destroy();
        });
        ssh.unref();
        setTimeout(() => ssh.kill(), lingerMs).unref();
      },
    };
  }

  /** For rsync(1): what it is to run in place of ssh (`--rsh`), and where it is to send what goes to an app. */
  rsyncTarget(app: string): { shell: string; destination: string } {
    const { user, host } = this.#address;
    const place = isIPv6(host) ? `[${host}]` : host;
    return {
      shell: this.#command().map(rsyncWord).join(" "),
      destination: `${user === undefined ? "" : `${user}@`}${place}:${app}/`,
    };
  }

  /** Forgets the way to the shared connection. What still uses it is not ended. */
  dispose(): void {
    if (this.#directory !== null) rmSync(this.#directory, { recursive: true, force: true });
    this.#directory = null;
  }

  #command(): [string, ...string[]] {
    this.#directory ??= mkdtempSync(join(tmpdir(), "maestro-"));
    const options = {
      ControlMaster: "auto",
      ControlPath: join(this.#directory, "s"),
      ControlPersist: "no",
      ClearAllForwardings: "yes",
      ForwardAgent: "no",
      ForwardX11: "no",
      PermitLocalCommand: "no",
      RequestTTY: "no",
      LogLevel: "ERROR",
      ConnectTimeout: "10",
      ServerAliveInterval: "15",
      // Where nobody can be asked, asking would wait for ever.
      ...(process.stdin.isTTY ? {} : { BatchMode: "yes" }),
    };
    const { port } = this.#address;
    return [
      ...this.#words,
      ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
      ...(port === undefined ? [] : ["-p", String(port)]),
    ];
  }

  async #closed(ssh: ChildProcess): ReturnType<() => Link["closed"]> {
    let said = "";
    ssh.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = `${said}${text}`.slice(-64 * 1024);
    });
    try {
      await once(ssh, "close");
    } catch (error) {
      return sshFailure(this.#address, [], error);
    }
    const lines = said.split(/\r?\n/).filter((line) => line.trim() !== "");
    return sshFailure(this.#address, lines.slice(-keptLines));
  }
}

/** A word of rsync's `--rsh`, which rsync splits at spaces itself; in quotes, two of them stand for one. */
function rsyncWord(word: string): string {
  return /^[^\s'"]+$/.test(word) ? word : `'${word.replace(/'/g, "''")}'`;
}
