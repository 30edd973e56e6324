import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { chownSync, closeSync, existsSync, fchmodSync, fchownSync, mkdirSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { AppUser } from "../app/app.ts";
import type { LaunchSpec } from "../app/instance.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { ceilingsFor } from "./ceilings.ts";
import type { Cgroup } from "./cgroup/cgroup.ts";
import { chain } from "./chain.ts";
import { endOf } from "./end.ts";
import { appEnvironment, chainEnvironment } from "./environment.ts";
import type { Host } from "./host.ts";
import { identify } from "./identity.ts";
import { type KnownInstance, writeRecord } from "./run-files.ts";
import { confine, enterScript, hasNamespaces, type Sandbox, writeView } from "./sandbox/sandbox.ts";

const shim = fileURLToPath(new URL("./shim.sh", import.meta.url));

/**
 * Starts an instance that outlives this controller. Resolves when the process is there, which is before it can
 * answer; a program that cannot be executed ends at once with code 126 or 127 and says why in its output, as under
 * any shell. Throws `NOTHING_TO_RUN` when the release's directory is gone, `BAD_INPUT` for an impossible environment.
 * `runDirectory` and the output files have to be this instance's alone: by them its processes are told from others.
 */
export async function launch(spec: LaunchSpec, host: Host): Promise<KnownInstance> {
  openStorage(spec);
  const cgroup = host.cgroups?.create(spec.key, spec.limits) ?? null;
  try {
    return await start(spec, host, cgroup);
  } catch (error) {
    await forget(spec, cgroup).catch(() => {}); // why it failed counts; the next controller removes what is left
    throw error;
  }
}

/** Also what came up and was not written down: nobody would ever end it. */
async function forget({ runDirectory }: LaunchSpec, cgroup: Cgroup | null): Promise<void> {
  await cgroup?.kill();
  await cgroup?.remove();
  // The shim may be writing down there how it ended. `rmSync` would stop, and say nothing, at a file that was renamed meanwhile.
  await rm(runDirectory, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 });
}

async function start(spec: LaunchSpec, host: Host, cgroup: Cgroup | null): Promise<KnownInstance> {
  const { key, runDirectory, limits, user } = spec;
  const isStatic = spec.start.kind === "static";
  const options = { scratch: runDirectory, cgroup: cgroup?.joinFiles ?? [], terminal: false, isStatic };
  const confinement = confine({ ...spec, ...options }, host.runtime, host.sandbox);
  const ceilings = ceilingsFor({ limits, user }, host);
  const environment = chainEnvironment(appEnvironment(spec, confinement.inside));
  const record = writeRecord(spec, host.sandbox.level);
  writeView(confinement);
  const command = [...ownSession(host.sandbox), ...chain(spec, confinement, ceilings)];
  await startShim(spec, [enterScript, ...confinement.entry, ...command], environment);
  const processes = await identify(runDirectory);
  if (processes === null) throw notStarted(spec);
  const { main, namespace } = processes;
  return { key, ...main, namespace, cgroup, record, exited: endOf(runDirectory, main, cgroup) };
}

/** The app's own to write, and closed to everyone else. */
export function openStorage({ storage, user }: Pick<LaunchSpec, "storage" | "user">): void {
  if (storage === null) return;
  mkdirSync(storage, { recursive: true, mode: 0o700 });
  if (user !== null && process.getuid?.() === 0) chownSync(storage, user.uid, user.gid);
}

/** setsid(1): a session and a process group that hold the app's processes and nobody else. bwrap(1) makes them inside. */
const ownSession = ({ level }: Sandbox) => (hasNamespaces(level) ? [] : ["/usr/bin/setsid"]);

/** Resolves when the shim has written down whom it started, and the process is there that becomes the app. */
async function startShim(
  spec: LaunchSpec,
  command: readonly string[],
  env: Record<string, string>,
): Promise<void> {
  using stdout = openLog(spec.output.stdout, spec.user);
  using stderr = openLog(spec.output.stderr, spec.user);
  const child = spawnShim(spec, command, { env, stdio: ["ignore", stdout.fd, stderr.fd, "pipe"] });
  await new Promise<void>((resolve, reject) => {
    child.once("error", (cause) => reject(cannotSpawn(spec, cause)));
    untilTold(child.stdio[3] as Socket, 2, resolve);
  });
}

/** What execve(2) refuses at once, spawn throws; what it finds out later comes as an event. */
function spawnShim(spec: LaunchSpec, command: readonly string[], options: SpawnOptions): ChildProcess {
  const { app, directory, runDirectory } = spec;
  const place = { argv0: `apprunner.${app}`, cwd: directory, detached: true };
  try {
    return spawn("/bin/sh", [shim, runDirectory, ...command], { ...options, ...place });
  } catch (cause) {
    throw cause instanceof Error ? cannotSpawn(spec, cause) : cause;
  }
}

/**
 * Calls back after so many lines, or when nobody is left who could write one: the chain has ended. bwrap(1) holds the
 * descriptor for as long as the app lives, so its end cannot be waited for.
 */
function untilTold(from: Socket, lines: number, done: () => void): void {
  let left = lines;
  from.on("error", () => {}); // 'close' follows
  from.once("close", done);
  from.on("data", (told: Buffer) => {
    left -= told.length;
    if (left <= 0) from.destroy();
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
  if (isSystemError(cause, "E2BIG")) {
    const message = `${app} could not be started: its environment is more than the 128 KB that the kernel takes; keep what is large in a file`;
    return new MaestroError("BAD_INPUT", message, { app }, { cause });
  }
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
