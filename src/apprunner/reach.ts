import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { AppUser } from "../app/app.ts";

/** Stands for the users that apps get: somebody who owns nothing and is in no group of ours. */
export const anyUser: AppUser = { uid: 65_534, gid: 65_534 };

export function isExecutable(path: string): boolean {
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
