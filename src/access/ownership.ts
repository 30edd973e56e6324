import { lchown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

type Owner = { uid: number; gid: number };

/**
 * Makes a tree somebody's, so that he can change all of it. The top comes last and tells whether it is done: a tree
 * whose top is his already is not looked through.
 */
export async function giveTree(path: string, owner: Owner): Promise<void> {
  if ((await lstat(path)).uid !== owner.uid) await chownTree(path, owner);
}

/** The same, whatever its top says. */
export async function chownTree(path: string, owner: Owner): Promise<void> {
  const isTree = (await lstat(path)).isDirectory();
  for (const entry of isTree ? await readdir(path, { recursive: true, withFileTypes: true }) : []) {
    await lchown(join(entry.parentPath, entry.name), owner.uid, owner.gid);
  }
  await lchown(path, owner.uid, owner.gid);
}
