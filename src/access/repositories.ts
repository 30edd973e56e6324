import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { isSystemError, MaestroError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { namesIn } from "../lib/directory.ts";
import { chownTree } from "./ownership.ts";
import type { SshUser } from "./ssh-user.ts";

const run = promisify(execFile);

/** What the hook says of the attributes of every path: nothing of a pushed repository changes how files are written. */
const attributes =
  "* -text -eol -crlf -ident -filter -working-tree-encoding -export-subst -export-ignore -diff -merge\n";

/**
 * The repository to which an app is pushed, <home>/repositories/APP.git, made when it is not there: bare, the SSH
 * user's, with nothing of this machine's git templates in it.
 */
export async function prepareRepository(home: string, app: string, user: SshUser): Promise<string> {
  const directory = join(home, "repositories");
  const path = join(directory, `${app}.git`);
  await mkdir(directory, { recursive: true, mode: 0o711 });
  if ((await namesIn(path)).length > 0) return path;
  const fresh = await mkdtemp(join(directory, `.${app}.`));
  try {
    await initialise(fresh);
    await chownTree(fresh, user);
    await rename(fresh, path);
  } catch (error) {
    if (!isSystemError(error, "ENOTEMPTY", "EEXIST")) throw error; // Another push was quicker.
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return path;
}

async function initialise(path: string): Promise<void> {
  try {
    await run("git", ["init", "--quiet", "--bare", "--template=", "--initial-branch=main", path], {
      env: { PATH: process.env["PATH"], GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null" },
    });
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
    throw new MaestroError(
      "INTERNAL",
      "git is not installed on the server (apt-get install git)",
      {},
      { cause: error },
    );
  }
  await writeAtomic(join(path, "info", "attributes"), attributes, 0o644);
}
