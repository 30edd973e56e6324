import { randomUUID } from "node:crypto";
import { chmod, constants, copyFile, link, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSystemError } from "../errors.ts";
import { exists } from "./install.ts";

/**
 * Puts the Node that runs this process where every app's user can execute it: `<directory>/node-vX.Y.Z/bin/node`,
 * whose path it answers. Does nothing when it is there. Takes no room where the file system can share it.
 */
export async function installNode(directory: string): Promise<string> {
  const target = join(directory, `node-${process.version}`, "bin", "node");
  if (await exists(target)) return target;
  await makeWay(directory, dirname(target));
  const fresh = `${target}.${randomUUID()}.tmp`;
  try {
    await share(process.execPath, fresh);
    await rename(fresh, target);
  } finally {
    await rm(fresh, { force: true });
  }
  return target;
}

/** Makes the directories from `top` down to `bottom`, open to everyone whatever our umask is. */
async function makeWay(top: string, bottom: string): Promise<void> {
  await mkdir(bottom, { recursive: true });
  for (let path = bottom; path.length >= top.length; path = dirname(path)) await chmod(path, 0o755);
}

/** A second name for the same file; a copy where that cannot be, or where not everyone may execute it. */
async function share(source: string, target: string): Promise<void> {
  const { mode } = await stat(source);
  try {
    if ((mode & 0o005) === 0o005) return await link(source, target);
  } catch (error) {
    if (!isSystemError(error, "EXDEV", "EPERM", "EMLINK", "EACCES", "ENOTSUP")) throw error;
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  await chmod(target, 0o755);
}
