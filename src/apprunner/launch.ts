import { spawn } from "node:child_process";
import { closeSync, existsSync, fchmodSync, fchownSync, mkdirSync, openSync } from "node:fs";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { AppUser } from "../app/app.ts";
import type { LaunchSpec } from "../app/instance.ts";
import { MaestroError } from "../errors.ts";
import { chain, type Runtime } from "./chain.ts";
import { endOf } from "./end.ts";
import { appEnvironment, chainEnvironment } from "./environment.ts";
import { type KnownInstance, readIdentity, writeRecord } from "./run-files.ts";

const shim = fileURLToPath(new URL("./shim.sh", import.meta.url));

/**
 * Starts an instance that outlives this controller. Resolves when the process is there, which is before it can
 * answer; a program that cannot be executed ends at once with code 126 or 127 and says why in its output, as under
 * any shell. Throws `NOTHING_TO_RUN` when the release's directory is gone, `BAD_INPUT` for an impossible environment.
 * `runDirectory` and the output files have to be this instance's alone: by them its processes are told from others.
 */
export async function launch(spec: LaunchSpec, runtime: Runtime): Promise<KnownInstance> {
  const environment = chainEnvironment(appEnvironment(spec, runtime));
  const record = writeRecord(spec);
  await startShim(spec, [...ownSession, ...chain(spec, runtime)], environment);
  const identity = await readIdentity(spec.runDirectory);
  if (identity === null) throw notStarted(spec);
  return { key: spec.key, ...identity, record, exited: endOf(spec.runDirectory, identity) };
}

/** setsid(1): a session and a process group that hold the app's processes and nobody else. */
const ownSession = ["/usr/bin/setsid"];

/** Resolves when the shim has written down whom it started; what it still does then is no concern of the app. */
async function startShim(
  spec: LaunchSpec,
  command: readonly string[],
  env: Record<string, string>,
): Promise<void> {
  using stdout = openLog(spec.output.stdout, spec.user);
  using stderr = openLog(spec.output.stderr, spec.user);
  const child = spawn("/bin/sh", [shim, spec.runDirectory, ...command], {
    argv0: `apprunner.${spec.app}`,
    cwd: spec.directory,
    env,
    detached: true,
    stdio: ["ignore", stdout.fd, stderr.fd, "pipe"],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", (cause) => reject(cannotSpawn(spec, cause)));
    const told = child.stdio[3] as Socket | null;
    told?.resume().once("close", resolve);
  });
}

/** A log that only Maestro reads. The app's group may write, for programs that open /dev/stdout once more. */
function openLog(path: string, user: AppUser | null): Disposable & { fd: number } {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, "a", 0o640);
  if (user !== null && process.getuid?.() === 0) {
    fchownSync(fd, 0, user.gid);
    fchmodSync(fd, 0o620);
  }
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

function cannotSpawn({ app, directory }: LaunchSpec, cause: Error): MaestroError {
  if (existsSync(directory)) {
    return new MaestroError("INTERNAL", `${app} could not be started: ${cause.message}`, { app }, { cause });
  }
  const message = `${app} could not be started: its directory ${directory} is not there; deploy it again`;
  return new MaestroError("NOTHING_TO_RUN", message, { app, directory }, { cause });
}

function notStarted({ app, runDirectory, output }: LaunchSpec): MaestroError {
  const message = `${app} could not be started: nothing came up in ${runDirectory}; see ${output.stderr}`;
  return new MaestroError("INTERNAL", message, { app, runDirectory });
}
