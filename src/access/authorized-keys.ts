import { randomUUID } from "node:crypto";
import { chmod, chown, mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isSystemError, MaestroError } from "../errors.ts";
import { syncDirectory } from "../lib/atomic-file.ts";

/** What a key of ours is given in authorized_keys, before the key itself. */
export type OwnLine = {
  /** The program that sshd runs whatever is asked for, as one line for a shell. */
  command: string;
  type: string;
  blob: string;
  comment: string;
};

const sshdFormat = (command: string) => `restrict,command="${command.replace(/"/g, '\\"')}" `;

/**
 * The lines of one sshd(8) authorized_keys file that are Maestro's, told from the others by their command. The others
 * are never changed, and a reader finds the old file or the new one, never half.
 */
export class AuthorizedKeys {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Puts a key in, in place of whatever the same command had before. Throws `BAD_INPUT` where the key is somebody else's. */
  async put({ command, type, blob, comment }: OwnLine): Promise<void> {
    const begin = sshdFormat(command);
    await this.#change((lines) => {
      const others = lines.filter((line) => !line.startsWith(begin));
      if (others.some((line) => line.split(/[ \t]/).includes(blob))) throw keyIsKnown(this.path);
      return [...others, `${begin}${type} ${blob} ${comment}`];
    });
  }

  async remove(command: string): Promise<void> {
    const begin = sshdFormat(command);
    await this.#change((lines) => lines.filter((line) => !line.startsWith(begin)));
  }

  async #change(change: (lines: string[]) => string[]): Promise<void> {
    const path = await this.#realPath();
    const text = await readIfThere(path);
    const lines = text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    const changed = `${change(lines).join("\n")}\n`;
    if (changed !== text && !(text === "" && changed === "\n")) await this.#replace(path, changed);
  }

  /** Where the file really is: a link to it stays one. */
  async #realPath(): Promise<string> {
    try {
      return await realpath(this.path);
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return this.path;
      throw error;
    }
  }

  /** A new file that belongs to whom the old one did. sshd does not trust one that others may write. */
  async #replace(path: string, text: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    const before = await stat(path).catch(() => null); // There was none.
    const temporary = `${path}.${randomUUID()}.tmp`;
    try {
      await using file = await open(temporary, "wx", 0o600);
      await file.writeFile(text);
      if (before) await chown(temporary, before.uid, before.gid);
      await chmod(temporary, before ? before.mode & 0o755 : 0o644);
      await file.sync();
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    await syncDirectory(dirname(path));
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return "";
    throw error;
  }
}

const keyIsKnown = (file: string) =>
  new MaestroError(
    "BAD_INPUT",
    `this public key has a line of its own in ${file} already, which may give it more than Maestro would; remove that line first, or use another key`,
    { file },
  );
