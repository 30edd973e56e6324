import { isAtLeast } from "./app/isolation.ts";
import type { UidBlock } from "./app/uids.ts";
import { adopt, endUnrecognised } from "./apprunner/adopt.ts";
import { sweepGroups, unlimited } from "./apprunner/groups.ts";
import type { Host } from "./apprunner/host.ts";
import { launch } from "./apprunner/launch.ts";
import { Firewall } from "./apprunner/network/firewall.ts";
import { startProgram } from "./apprunner/one-off/start.ts";
import { defaultPortRange, PortAllocator } from "./apprunner/ports.ts";
import { untilReady } from "./apprunner/ready.ts";
import { writeHosts } from "./apprunner/sandbox/etc.ts";
import { type Stoppable, stop } from "./apprunner/stop.ts";
import type { Config } from "./config.ts";
import type { AdoptedInstance, EndedInstance, Runner } from "./control/ports.ts";
import { MaestroError } from "./errors.ts";
import type { Log } from "./lib/log.ts";
import { startedAt } from "./lib/processes.ts";

/** The users of apps, and the ports of this machine that all of them may reach. */
export type Network = { uids: UidBlock; openPorts: readonly number[] };

/** Apprunner's room, as the stories see it. */
export async function plugRunner(config: Config, host: Host, network: Network, log: Log): Promise<Runner> {
  const ports = new PortAllocator();
  const firewall = await openFirewall(config, host, network);
  if (typeof firewall === "string") log.warn({ reason: firewall }, "network.open");
  const isolation = reportIsolation(host, firewall);
  return {
    isolation,
    effectiveUser: (user) => (host.ownUsers ? user : null),
    launch: (spec) => {
      refuseWeakIsolation(config, isolation);
      return launch(spec, host);
    },
    startProgram: (spec) => {
      refuseWeakIsolation(config, isolation);
      return startProgram(spec, host);
    },
    adopt: (runDirectory) => recognise(runDirectory, host.cgroups),
    endUnrecognised,
    limit: ({ cgroup }: Stoppable, limits) => cgroup?.limit(limits),
    unlimited: unlimited(host.powers),
    confinementOf: ({ record, cgroup }: Stoppable) => ({
      level: record?.level ?? "process",
      memory: { now: cgroup?.usage().memory?.now ?? null, limit: cgroup?.memoryLimit() ?? null },
    }),
    sweep: (keys) => sweepGroups(host.cgroups, keys),
    nameHosts: (hostnames) => writeHosts(host.sandbox.etc, hostnames),
    untilReady: async (question, signal) => {
      // An app needs longer to listen than this takes, and nobody else may answer on its port.
      if (question.user && firewall instanceof Firewall) await firewall.own(question.user.uid, question.port);
      return untilReady(question, signal);
    },
    stop,
    leasePort: () => ports.lease(),
    reservePort: (port) => ports.reserve(port),
    close: async () => {
      if (firewall instanceof Firewall) await firewall.close();
      host.cgroups?.remove();
    },
  };
}

/** What is in a run directory, as the stories see it. Changes nothing. */
export async function recognise(
  runDirectory: string,
  cgroups: Host["cgroups"],
): Promise<AdoptedInstance | EndedInstance | null> {
  const found = await adopt(runDirectory, cgroups);
  if (!found) return null;
  const { record } = found;
  if ("ended" in found) return { ...record, ...found };
  return { ...record, running: found, startedAt: startedAt(found) };
}

/** The rules for the network of apps; or why there are none, in a sentence. */
async function openFirewall(
  { rpc }: Config,
  { ownUsers, id }: Host,
  { uids, openPorts }: Network,
): Promise<Firewall | string> {
  if (!ownUsers)
    return "the apps have no users of their own, by whom the rules of the network could tell them";
  const obstacle = await Firewall.probe();
  if (obstacle !== null) return obstacle;
  const closedPorts = rpc.port === 0 ? [] : [rpc.port];
  return Firewall.open({ id, uids, ports: defaultPortRange, openPorts, closedPorts }, { keep: true });
}

function reportIsolation(
  { sandbox, obstacles, powers }: Host,
  firewall: Firewall | string,
): Runner["isolation"] {
  const notes = [
    ...obstacles,
    ...(typeof firewall === "string" ? [`network: ${firewall}`] : []),
    ...unlimited(powers),
  ];
  return { level: sandbox.level, holds: {}, notes, attempts: [], triedAt: null };
}

function refuseWeakIsolation({ isolation: wanted }: Config, { level, notes }: Runner["isolation"]): void {
  if (wanted === undefined || isAtLeast(level, wanted)) return;
  throw new MaestroError(
    "ISOLATION_TOO_WEAK",
    `--isolation ${wanted} is asked for, and this machine offers only "${level}": ${notes.join("; ")}`,
    { wanted, level },
  );
}
