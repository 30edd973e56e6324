import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { App } from "../../src/app/app.ts";
import type { InstanceReport } from "../../src/app/reports.ts";
import { namesIn } from "../../src/lib/directory.ts";
import { lockHolder } from "../../src/lib/lock-file.ts";
import { partsOf, processesOf, shimNameOf, type Trace } from "./chaos-processes.ts";
import type { TestMaestro } from "./maestro.ts";

/** What is not as it should be while everything serves and nothing happens, in words. */
export async function faultsAtRest(
  maestro: TestMaestro,
  apps: readonly { name: string; instances: number }[],
): Promise<string[]> {
  const client = await maestro.client();
  const running = await client.call("ps", {});
  const { workers } = await client.call("status", {});
  const releases = apps.map((app) => faultsOfReleases(maestro, app, running));
  return [
    ...(await Promise.all(releases)).flat(),
    ...(await faultsOfRunDirectories(maestro, running)),
    ...(await faultsOfSockets(maestro, workers.length)),
    ...orphans(maestro, running, [
      maestro.pid,
      ...workers.map(({ pid }) => pid),
      ...(await logKeeperOf(maestro)),
    ]),
  ];
}

/** What is left behind after everything was ended. */
export async function faultsAtTheEnd(maestro: TestMaestro): Promise<string[]> {
  return [
    ...(await faultsOfRunDirectories(maestro, [])),
    ...(await faultsOfSockets(maestro, 0)),
    ...orphans(maestro, [], []),
  ];
}

async function faultsOfReleases(
  { home }: TestMaestro,
  { name, instances }: { name: string; instances: number },
  running: readonly InstanceReport[],
): Promise<string[]> {
  const registered = App.parse(JSON.parse(await readFile(join(home, "state/apps", `${name}.json`), "utf8")));
  const serving = running.filter(({ app }) => app === name).map(({ release }) => release);
  const wanted = Array.from({ length: instances }, () => registered.release);
  if (JSON.stringify(serving) === JSON.stringify(wanted)) return [];
  return [`releases ${serving} of ${name} serve, where the registry wants ${wanted}`];
}

/** Those that ended are removed right after their end was seen. */
async function faultsOfRunDirectories(
  { home }: TestMaestro,
  running: readonly InstanceReport[],
): Promise<string[]> {
  const known = new Set(running.map(({ key }) => key));
  const names = await namesIn(join(home, "run/instances"));
  return names.filter((name) => !known.has(name)).map((name) => `run/instances/${name} is left behind`);
}

async function faultsOfSockets({ home }: TestMaestro, workers: number): Promise<string[]> {
  const sockets = (await namesIn(join(home, "run/workers"))).filter((name) => name.endsWith(".sock"));
  return sockets.length === workers ? [] : [`${workers} workers have the sockets ${sockets.join(", ")}`];
}

/** It holds a lock that names it; none while it is being replaced. */
async function logKeeperOf({ home }: TestMaestro): Promise<number[]> {
  const holder = await lockHolder(join(home, "run/logs/keeper.lock"));
  return holder === null ? [] : [holder.pid];
}

/** Processes that belong to nothing that is known to run. */
function orphans(
  { home }: TestMaestro,
  running: readonly InstanceReport[],
  known: readonly number[],
): string[] {
  const parts = new Set(running.flatMap((instance) => partsOf(instance.pid).map(({ pid }) => pid)));
  const shims = new Set(running.flatMap((instance) => shimsOf(home, instance)));
  const isKnown = ({ pid }: Trace) => known.includes(pid) || parts.has(pid) || shims.has(pid);
  return processesOf(home)
    .filter((process) => !isKnown(process))
    .map(({ pid, command }) => `process ${pid} is an orphan: ${command}`);
}

const shimsOf = (home: string, { app, key }: InstanceReport) =>
  processesOf(join(home, "run/instances", key)).flatMap(({ pid, name }) =>
    name === shimNameOf(app) ? [pid] : [],
  );
