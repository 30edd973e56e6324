import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AppUser } from "../../app/app.ts";
import { type Etc, usersDirectory } from "./etc.ts";

/** passwd(5) and group(5) of one sandbox: a directory that is bound where the /etc of all of them leads to. */
export type Users = { directory: string; texts: Readonly<Record<string, string>>; over: Etc["over"] };

/**
 * An app's user has a name for itself, the same in every sandbox: `os.userInfo()`, Python's getpass, git, ssh and the
 * clients of databases fail for a user without one. Nobody but root is named beside it, so no app learns of another.
 * `scratch`: where the files are put by `writeUsers`.
 */
export function usersFor({ uid, gid }: AppUser, scratch: string): Users {
  const passwd = uid === 0 ? "" : `app:x:${uid}:${gid}:app:/tmp:/bin/sh\n`;
  const group = gid === 0 ? "" : `app:x:${gid}:\n`;
  const texts = {
    passwd: `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n${passwd}`,
    group: `root:x:0:\n${group}`,
  };
  const directory = join(scratch, usersDirectory);
  return { directory, texts, over: [[directory, join("/etc", usersDirectory)]] };
}

/** Readable by the app whatever Maestro's umask is. */
export function writeUsers({ directory, texts }: Pick<Users, "directory" | "texts">): void {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
  for (const [name, text] of Object.entries(texts)) {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, 0o644);
  }
}
