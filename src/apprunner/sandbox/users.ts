import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AppUser } from "../../app/app.ts";
import { isSystemError } from "../../errors.ts";
import { type Etc, usersDirectory } from "./etc.ts";

/** passwd(5) and group(5) of an app's sandboxes: a directory that is bound where the /etc of all of them leads to. */
export type Users = { directory: string; texts: Readonly<Record<string, string>>; over: Etc["over"] };

/**
 * An app's user has a name for itself, the same in every sandbox: `os.userInfo()`, Python's getpass, git, ssh and the
 * clients of databases fail for a user without one. Nobody but root is named beside it, so no app learns of another.
 * `beside`: where the directory is made by `writeUsers`.
 */
export function usersFor({ uid, gid }: AppUser, beside: string): Users {
  const passwd = uid === 0 ? "" : `app:x:${uid}:${gid}:app:/tmp:/bin/sh\n`;
  const group = gid === 0 ? "" : `app:x:${gid}:\n`;
  const texts = {
    passwd: `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n${passwd}`,
    group: `root:x:0:\n${group}`,
  };
  const directory = join(beside, `${usersDirectory}-${uid}-${gid}`);
  return { directory, texts, over: [[directory, join("/etc", usersDirectory)]] };
}

/** Once for each user, and whole or not at all. Readable by the app whatever Maestro's umask is. */
export function writeUsers({ directory, texts }: Pick<Users, "directory" | "texts">): void {
  if (existsSync(directory)) return;
  const aside = mkdtempSync(`${directory}.`);
  for (const [name, text] of Object.entries(texts)) {
    const path = join(aside, name);
    writeFileSync(path, text);
    chmodSync(path, 0o644);
  }
  chmodSync(aside, 0o755);
  try {
    renameSync(aside, directory);
  } catch (error) {
    rmSync(aside, { recursive: true });
    if (!isSystemError(error, "EEXIST", "ENOTEMPTY")) throw error; // Somebody else was quicker.
  }
}
