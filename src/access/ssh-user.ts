import { execFile } from "node:child_process";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { isSystemError, MaestroError } from "../errors.ts";

const run = promisify(execFile);

/** The user of the machine as whom developers log in over SSH. */
export type SshUser = { name: string; uid: number; gid: number; home: string; shell: string };

export const defaultSshUser = "maestro";

/**
 * Whom developers log in as: where Maestro is root, a user of the system that can do nothing else (`wanted`, default
 * "maestro"); else Maestro's own user. Null when root's is not there yet. Throws `BAD_INPUT` for one that cannot be.
 */
export async function findSshUser(wanted: string | undefined): Promise<SshUser | null> {
  const own = userInfo();
  if (own.uid !== 0) {
    if (wanted === undefined || wanted === own.username) return look(own.username);
    throw bad(`only root can let developers log in as ${wanted}; as you they can: leave --ssh-user out`);
  }
  const user = await look(wanted ?? defaultSshUser);
  if (user?.uid === 0) {
    throw bad(
      `--ssh-user ${user.name} is root: a fault in what deploys would be one in everything; name another`,
    );
  }
  return user;
}

/** The same, and makes it when it is not there. `home`: the directory that it gets. */
export async function ensureSshUser(wanted: string | undefined, home: string): Promise<SshUser> {
  const name = wanted ?? defaultSshUser;
  const user = (await findSshUser(wanted)) ?? (await create(name, home));
  if (/\/(?:nologin|false)$/.test(user.shell)) {
    throw bad(
      `the shell of ${user.name} is ${user.shell}, with which sshd runs nothing; \`usermod --shell /bin/sh ${user.name}\` gives it one (Maestro's keys open none)`,
    );
  }
  return user;
}

/** A user without a password ("*": there is none that fits, but it is not locked, which sshd would refuse). */
async function create(name: string, home: string): Promise<SshUser> {
  const options = ["--system", "--user-group", "--no-create-home", "--home-dir", home];
  const words = [...options, "--shell", "/bin/sh", "--password", "*", "--", name];
  try {
    await run("/usr/sbin/useradd", words);
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
    const message = `the user ${name}, as whom developers are to log in, cannot be made (${said}); make it by hand: useradd ${words.join(" ")}`;
    throw new MaestroError("INTERNAL", message, { user: name }, { cause: error });
  }
  const user = await look(name);
  if (user) return user;
  throw new MaestroError("INTERNAL", `useradd made no user ${name}`, { user: name });
}

/** By getent(1), which also knows users that are not in /etc/passwd. */
async function look(name: string): Promise<SshUser | null> {
  let line: string;
  try {
    line = (await run("getent", ["passwd", "--", name])).stdout.trim();
  } catch (error) {
    if (isSystemError(error)) throw error;
    return null; // It exits with 2 for one that is not there.
  }
  const [, , uid, gid, , home = "", shell = ""] = line.split(":");
  return { name, uid: Number(uid), gid: Number(gid), home, shell };
}

const bad = (message: string) => new MaestroError("BAD_INPUT", message);
