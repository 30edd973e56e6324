import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AppUser } from "../../app/app.ts";
import type { Etc } from "./etc.ts";

/** passwd(5) and group(5) of one sandbox, which are bound over those that all of them share. */
export type Users = { texts: Readonly<Record<string, string>>; over: Etc["over"] };

/**
 * An app's user has a name for itself, the same in every sandbox: `os.userInfo()`, Python's getpass, git, ssh and the
 * clients of databases fail for a user without one. Nobody but root is named beside it, so no app learns of another.
 * `scratch`: where the files are put by `writeUsers`.
 */
export function usersFor({ uid, gid }: AppUser, scratch: string): Users {
  const passwd = uid === 0 ? "" : `app:x:${uid}:${gid}:app:/tmp:/bin/sh\n`;
  const group = gid === 0 ? "" : `app:x:${gid}:\n`;
  const texts = {
    [join(scratch, "passwd")]: `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n${passwd}`,
    [join(scratch, "group")]: `root:x:0:\n${group}`,
  };
  const over = ["passwd", "group"].map((name) => [join(scratch, name), join("/etc", name)] as const);
  return { texts, over };
}

/** Readable by the app whatever Maestro's umask is. */
export function writeUsers({ texts }: Pick<Users, "texts">): void {
  for (const [path, text] of Object.entries(texts)) {
    writeFileSync(path, text);
    chmodSync(path, 0o644);
  }
}
