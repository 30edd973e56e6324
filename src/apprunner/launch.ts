import { chownSync, closeSync, existsSync, fchmodSync, fchownSync, mkdirSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { AppUser } from "../app/app.ts";
import type { LaunchSpec } from "../app/instance.ts";
import { MaestroError } from "../errors.ts";
import { ceilingsFor } from "./ceilings.ts";
import type { Cgroup } from "./cgroup/cgroup.ts";
import { chain, environmentCarrier } from "./chain.ts";
import { endOf } from "./end.ts";
import { appEnvironment, packEnvironment } from "./environment.ts";
import type { Host } from "./host.ts";
import { identify } from "./identity.ts";
import { type KnownInstance, writeRecord } from "./run-files.ts";
import {
  type Confinement,
  confine,
  enterScript,
  hasNamespaces,
  type Sandbox,
  writeView,
} from "./sandbox/sandbox.ts";
import type { Shim } from "./spare-shims.ts";

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
  const { key, runDirectory } = spec;
  if (!existsSync(spec.directory)) throw nothingToRun(spec);
  mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
  const isStatic = spec.start.kind === "static";
  const options = { scratch: runDirectory, cgroup: cgroup?.joinFiles ?? [], terminal: false, isStatic };
  const confinement = confine({ ...spec, ...options }, host.runtime, host.sandbox);
  // A spare shim may have been ended by somebody, a moment before it was told anything.
  const begun = (await begin(spec, host, confinement)) ?? (await begin(spec, host, confinement));
  if (begun === null) throw notStarted(spec);
  const { main, namespace, record, settled } = begun;
  const exited = settled.then(() => endOf(runDirectory, main, cgroup));
  return { key, ...main, namespace, cgroup, record, exited };
}

/** Null when nobody has been written down who runs. `settled`: the run directory can be read. */
async function begin(spec: LaunchSpec, host: Host, confinement: Confinement) {
  using shim = orderShim(spec, host, confinement);
  // Meanwhile it gets ready.
  const record = writeRecord(spec, host.sandbox.level);
  writeView(confinement);
  for (const path of Object.values(spec.output)) makeLog(path, spec.user);
  await shim.go().catch((cause) => Promise.reject(cannotFork(spec, cause)));
  const processes = await identify(spec.runDirectory);
  return processes && { ...processes, record, settled: shim.settle() };
}

/** The app's own to write, and closed to everyone else. */
export function openStorage({ storage, user }: Pick<LaunchSpec, "storage" | "user">): void {
  if (storage === null) return;
  mkdirSync(storage, { recursive: true, mode: 0o700 });
  if (user !== null && process.getuid?.() === 0) chownSync(storage, user.uid, user.gid);
}

/** setsid(1): a session and a process group that hold the app's processes and nobody else. bwrap(1) makes them inside. */
const ownSession = ({ level }: Sandbox) => (hasNamespaces(level) ? [] : ["/usr/bin/setsid"]);

/** One that gets ready for the instance, and waits. */
function orderShim(spec: LaunchSpec, host: Host, confinement: Confinement): Shim {
  const { app, directory, output, runDirectory } = spec;
  const variables = appEnvironment(spec, confinement.inside);
  const environment = `${environmentCarrier}=${packEnvironment(variables)}`;
  const words = chain(spec, confinement, ceilingsFor(spec, host));
  const command = [enterScript, ...confinement.entry, ...ownSession(host.sandbox), ...words];
  try {
    return host.shims.order({ app, directory, output, environment, runDirectory, command });
  } catch (cause) {
    throw cannotFork(spec, cause);
  }
}

/** A log that only Maestro reads. The app's group may write, for programs that open /dev/stdout once more. */
function makeLog(path: string, user: AppUser | null): void {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, "a", 0o640);
  try {
    if (user === null || process.getuid?.() !== 0) return;
    fchownSync(fd, 0, user.gid);
    fchmodSync(fd, 0o620);
  } finally {
    closeSync(fd);
  }
}

function nothingToRun({ app, directory }: LaunchSpec): MaestroError {
  const message = `${app} could not be started: its directory ${directory} is not there; deploy it again`;
  return new MaestroError("NOTHING_TO_RUN", message, { app, directory });
}

function cannotFork({ app }: LaunchSpec, cause: unknown): MaestroError {
  const message = `${app} could not be started: ${(cause as Error).message}`;
  return new MaestroError("INTERNAL", message, { app }, { cause });
}

function notStarted({ app, runDirectory, output }: LaunchSpec): MaestroError {
  const message = `${app} could not be started: nothing came up in ${runDirectory}; see ${output.stderr}`;
  return new MaestroError("INTERNAL", message, { app, runDirectory });
}
