import { chmod, chown, mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSystemError } from "../errors.ts";
import { modesFor } from "./modes.ts";
import type { Places } from "./places.ts";

/**
 * Makes an app's directories, and answers where its code is sent: `incoming/`. What is there already stays.
 *
 * The deploy command of 2012 runs `rsync -a ./ SERVER:<home>/apps/NAME/webapp`, with its `apprunner.js` put beside
 * `webapp` by hand. So `webapp` is a symlink to `incoming/webapp`, and the `apprunner.js` of such an app lies in
 * `incoming/`. rsync follows a symlink that it is given as its target only when it leads to a directory (it fails
 * with "mkdir: File exists" on a dangling one), so an empty `incoming/webapp/` is made too. While it is empty it is
 * nobody's code: `walk` leaves it out, and `rsync --delete` to `incoming/` may remove it until the next time.
 */
export async function prepareIncoming(places: Places, gid: number | null): Promise<string> {
  await prepareReleases(places, gid);
  // What is sent is read by Maestro alone: the app sees its release, never this.
  const mode = gid === null ? 0o755 : 0o750;
  await mkdir(places.incoming, { recursive: true, mode });
  await mkdir(places.logs, { recursive: true, mode });
  await unlessThere(mkdir(join(places.incoming, "webapp"), mode));
  await unlessThere(symlink("incoming/webapp", places.webapp));
  return places.incoming;
}

/** The way to an app's releases: the app's group may walk it, other apps may not. */
export async function prepareReleases(places: Places, gid: number | null): Promise<void> {
  const modes = modesFor(gid);
  await mkdir(dirname(places.directory), { recursive: true, mode: 0o755 });
  if (gid !== null) await closeIncoming(places);
  for (const path of [places.directory, places.releases]) {
    await mkdir(path, { recursive: true });
    // Also when they were there: the app may have been given its user since.
    if (gid !== null) await chown(path, -1, gid);
    // Whoever receives the code passes through the app's directory to incoming/, and sees nothing else of it.
    await chmod(path, path === places.directory ? modes.directory | 0o001 : modes.directory);
  }
}

/**
 * rsync gives the directory that it writes to the mode of the one that was sent. Since others pass by on their way,
 * it has to be closed itself.
 */
async function closeIncoming(places: Places): Promise<void> {
  try {
    await chmod(places.incoming, 0o750);
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error; // It is made closed.
  }
}

/** What already has the name stays, whatever it is: it was made before, or somebody else put it there. */
async function unlessThere(making: Promise<void>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (!isSystemError(error, "EEXIST")) throw error;
  }
}
