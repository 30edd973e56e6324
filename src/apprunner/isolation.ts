import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { AppUser } from "../app/app.ts";
import type { Isolation } from "../app/reports.ts";

const setpriv = "/usr/bin/setpriv";
/** Stands for the users that apps get: somebody who owns nothing and is in no group of ours. */
const anyUser: AppUser = { uid: 65_534, gid: 65_534 };

/** What holds between the apps of this machine, by what is there: root's rights, setpriv(1), a home that apps reach. */
export function probeIsolation({ home }: { home: string }): Isolation {
  const obstacle = obstacleToOwnUsers(home);
  return {
    level: obstacle === null ? "process" : "none",
    holds: {
      files: false,
      processes: false,
      user: obstacle === null,
      network: false,
      memory: false,
      cpu: false,
      "system calls": false,
    },
    notes: [
      ...(obstacle === null ? [] : [obstacle]),
      "apps see the machine's files and processes as any of its users does; there is no sandbox around them yet",
      "apps reach each other's ports on this machine, and can take a free one that is meant for another",
      "memory and CPU of an app are not limited, nor are its system calls",
    ],
  };
}

/** Why apps run as Maestro's own user; null when each gets its own. */
function obstacleToOwnUsers(home: string): string | null {
  const same = "apps run as Maestro's own user, and can do all that it can";
  if (process.getuid?.() !== 0) return `Maestro is not root: ${same}`;
  if (!isExecutable(setpriv)) return `${setpriv} (package util-linux) is missing: ${same}`;
  if (!canReach(anyUser, home))
    return `${home} lies below a directory that only some users may enter: ${same}`;
  return null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether a user without other groups may enter all the directories above a path, and read what is there (a
 * directory: enter it). What does not exist yet counts as open: it will be made so. Access lists (acl(5)) are not
 * looked at.
 */
export function canReach(user: AppUser, path: string): boolean {
  return canEnter(user, realPathOf(path));
}

/** With its symbolic links resolved, as far as it exists. */
function realPathOf(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })) return realpathSync(path);
  return join(realPathOf(dirname(path)), basename(path));
}

function canEnter(user: AppUser, path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat && !permits(user, stat, stat.isDirectory() ? 0o1 : 0o4)) return false;
  const parent = dirname(path);
  return parent === path || canEnter(user, parent);
}

function permits(
  user: AppUser,
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
  bit: number,
): boolean {
  if (uid === user.uid) return (mode & (bit << 6)) !== 0;
  if (gid === user.gid) return (mode & (bit << 3)) !== 0;
  return (mode & bit) !== 0;
}
