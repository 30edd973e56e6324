import { rm } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "./config.ts";
import { Worker } from "./control/worker.ts";
import { isSystemError, MaestroError } from "./errors.ts";
import { writeAtomic } from "./lib/atomic-file.ts";
import { namesIn } from "./lib/directory.ts";
import { silentLog } from "./lib/log.ts";
import { ownVersion } from "./lib/own-version.ts";
import { openState, type State, workerProgram } from "./maestro.ts";
import { instanceFiles } from "./protocol/instance-files.ts";
import type { CheckReport } from "./protocol/reload.ts";
import { recognise } from "./runner.ts";

/**
 * `maestro serve --check`: whether this version, with these settings, could take over what runs here. It reads what
 * another version wrote, asks the workers that run, and changes nothing. Throws `RELOAD_FAILED` with all that is wrong.
 */
export async function check(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Promise<CheckReport> {
  const config = loadConfig(flags, env);
  const state = await openState(config, silentLog);
  const directory = (name: string) => join(config.home, "run", name);
  const instances = await survey(await namesIn(directory("instances")), (key) =>
    checkInstance(directory("instances"), key),
  );
  const sockets = (await namesIn(directory("workers"))).filter((name) => name.endsWith(".sock"));
  const workers = await survey(sockets, (name) => checkWorker(join(directory("workers"), name)));
  const problems = [
    ...(await checkDisk(config.home)),
    ...(await checkState(state)),
    ...instances.problems,
    ...workers.problems,
  ];
  if (problems.length > 0) {
    throw new MaestroError(
      "RELOAD_FAILED",
      `version ${ownVersion} cannot take over: ${problems.join("; ")}`,
      {
        problems,
      },
    );
  }
  return {
    version: ownVersion,
    node: process.version,
    home: config.home,
    apps: state.registry.all().length,
    instances: instances.found,
    workers: { running: workers.found, ...workerProgram(config) },
  };
}

/** True: it is there. False: it is gone by now. A string: what is wrong with it. */
type Finding = boolean | string;

async function survey(
  names: readonly string[],
  look: (name: string) => Promise<Finding>,
): Promise<{ found: number; problems: string[] }> {
  const findings = await Promise.all(names.map(look));
  return {
    found: findings.filter((finding) => finding === true).length,
    problems: findings.filter((finding) => typeof finding === "string"),
  };
}

/** What takes over has to be able to write where this one does. */
async function checkDisk(home: string): Promise<string[]> {
  const path = join(home, "state", `check-${process.pid}.tmp`);
  try {
    await writeAtomic(path, "x".repeat(4096));
    return [];
  } catch (error) {
    return [`${home} cannot be written: ${(error as Error).message}`];
  } finally {
    await rm(path, { force: true });
  }
}

async function checkState({ registry, releases }: State): Promise<string[]> {
  const unusable = await Promise.all(
    registry.all().map(async ({ name, release }) => {
      if (release === null) return [];
      return releases.get(name, release).then(
        () => [],
        (error: Error) => [error.message],
      );
    }),
  );
  return [...registry.broken().map(({ problem }) => problem), ...unusable.flat()];
}

/** One whose files this version does not understand would be started anew instead of being taken over. */
async function checkInstance(directory: string, key: string): Promise<Finding> {
  const found = await recognise(join(directory, key), null);
  if (found) return "running" in found;
  const files = await namesIn(join(directory, key));
  return files.includes(instanceFiles.record) ? `${join(directory, key)} is not understood` : false;
}

async function checkWorker(path: string): Promise<Finding> {
  try {
    const worker = await Worker.connect(path, { isAdopted: true, log: silentLog });
    worker.disconnect();
    return true;
  } catch (error) {
    if (isSystemError(error, "ECONNREFUSED", "ENOENT")) return false;
    return `the worker at ${path} is not understood: ${(error as Error).message}`;
  }
}
