import { join } from "node:path";
import { type IsolationLevel, isAtLeast } from "./app/isolation.ts";
import { canaryUids, maestroUids, type UidBlock } from "./app/uids.ts";
import { adopt, endUnrecognised } from "./apprunner/adopt.ts";
import { runCanary } from "./apprunner/canary/canary.ts";
import { brokenPromises } from "./apprunner/canary/judge.ts";
import { IsolationWatch } from "./apprunner/canary/watch.ts";
import { freeze, thaw } from "./apprunner/freeze.ts";
import { sweepGroups, unlimited } from "./apprunner/groups.ts";
import type { Host } from "./apprunner/host.ts";
import { launch } from "./apprunner/launch.ts";
import { Firewall } from "./apprunner/network/firewall.ts";
import { startProgram } from "./apprunner/one-off/start.ts";
import { defaultPortRange, type PortLease as Lease, PortAllocator } from "./apprunner/ports.ts";
import { untilReady } from "./apprunner/ready.ts";
import { writeHosts } from "./apprunner/sandbox/etc.ts";
import { type Stoppable, stop } from "./apprunner/stop.ts";
import type { Config } from "./config.ts";
import type { AdoptedInstance, EndedInstance, Runner } from "./control/ports.ts";
import { MaestroError } from "./errors.ts";
import type { Log } from "./lib/log.ts";
import { ownVersion } from "./lib/own-version.ts";
import { bootId, startedAt } from "./lib/processes.ts";

/** The users of apps, and the ports of this machine that all of them may reach. */
export type Network = { uids: UidBlock; openPorts: readonly number[] };

/** Apprunner's room, as the stories see it. */
export async function plugRunner(config: Config, host: Host, network: Network, log: Log): Promise<Runner> {
  const ports = new PortAllocator();
  const firewall = await openFirewall(config, host, network);
  if (typeof firewall === "string") log.warn({ reason: firewall }, "network.open");
  else {
    keepUp(firewall, log);
    void tellRivals(firewall, log);
  }
  const closing = new AbortController();
  const { uids } = network;
  const watch = watchIsolation(config, host, { firewall, ports, uids, signal: closing.signal }, log);
  return {
    get isolation() {
      return watch.report;
    },
    tryIsolation: () => watch.tried(),
    effectiveUser: (user) => (host.ownUsers ? user : null),
    launch: async (spec) => {
      await refuseWeakIsolation(config, watch);
      return launch(spec, host);
    },
    startProgram: async (spec) => {
      await refuseWeakIsolation(config, watch);
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
    sweep: async (running) => {
      if (firewall instanceof Firewall) await firewall.disownAllBut(running.map(({ port }) => port));
      await sweepGroups(host.cgroups, new Set(running.map(({ key }) => key)));
    },
    nameHosts: (hostnames) => writeHosts(host.sandbox.etc, hostnames),
    untilReady: async (question, signal) => {
      // An app needs longer to listen than this takes, and nobody else may answer on its port.
      if (question.user && firewall instanceof Firewall) await firewall.own(question.user.uid, question.port);
      const address = await untilReady(question, signal);
      void watch.tried(); // Not before: it would take CPU from the app that starts.
      return address;
    },
    stop,
    freeze,
    thaw,
    leasePort: async () => owned(await ports.lease(), firewall, log),
    reservePort: (port) => owned(ports.reserve(port), firewall, log),
    close: async () => {
      closing.abort();
      await watch.settled();
      if (firewall instanceof Firewall) await firewall.close();
      host.cgroups?.remove();
    },
  };
}

/** With the lease of a port ends what the rules of the network say of it. */
function owned(lease: Lease, firewall: Firewall | string, log: Log): Lease {
  if (typeof firewall === "string") return lease;
  const { port } = lease;
  const disown = () => {
    const uid = firewall.owners.get(port);
    if (uid === undefined) return;
    firewall
      .disown(uid, port)
      .catch((error: Error) => log.warn({ port, error: error.message }, "network.not-disowned"));
  };
  const release = () => {
    lease.release();
    disown();
  };
  return { port, release, [Symbol.dispose]: release };
}

/** Whoever reloads the rules of the machine takes ours away with all others. */
function keepUp(firewall: Firewall, log: Log): void {
  const look = () =>
    firewall.restore().then(
      (wasGone) => wasGone && log.warn({ table: firewall.table }, "network.restored"),
      (error: Error) => log.error({ error: error.message }, "network.not-restored"),
    );
  setInterval(() => void look(), 30_000).unref();
}

/** Nobody waits for it: nothing is done about them but to say so. */
async function tellRivals(firewall: Firewall, log: Log): Promise<void> {
  try {
    for (const table of await firewall.rivals()) {
      const remedy = `if no Maestro has it any more: nft delete table inet ${table}`;
      log.error({ table, remedy }, "network.rival");
    }
  } catch (error) {
    log.error({ error: (error as Error).message }, "network.rivals-not-known");
  }
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
  const ports = defaultPortRange;
  return Firewall.open({ id, uids, maestros: maestroUids, ports, openPorts, closedPorts }, { keep: true });
}

/** What holds is found out by a program in the very sandbox of apps. */
function watchIsolation(
  config: Config,
  host: Host,
  {
    firewall,
    ports,
    uids,
    signal,
  }: { firewall: Firewall | string; ports: PortAllocator; uids: UidBlock; signal: AbortSignal },
  log: Log,
): IsolationWatch {
  const { sandbox, obstacles, powers, ownUsers } = host;
  const closed = typeof firewall !== "string";
  const own = async (uid: number, port: number) => {
    if (closed) await firewall.own(uid, port);
  };
  return new IsolationWatch({
    known: {
      level: sandbox.level,
      notes: [...obstacles, ...(closed ? [] : [`network: ${firewall}`]), ...unlimited(powers)],
    },
    circumstances: [bootId(), ownVersion, process.version, sandbox, powers, ownUsers, closed],
    path: join(config.home, "state", "canary.json"),
    attempt: async () => {
      const users = ownUsers ? canaryUids(uids) : null;
      using first = owned(await ports.lease(), firewall, log);
      using second = owned(await ports.lease(), firewall, log);
      using third = owned(await ports.lease(), firewall, log);
      const leased = [first.port, second.port, third.port] as const;
      return runCanary({ host, home: config.home, users, ports: leased, own, signal });
    },
    onFailure: (error) => log.warn({ error: error.message }, "isolation.not-tried"),
  });
}

/** `--isolation`: what was found to be less than its name promises counts as what is below it. */
async function refuseWeakIsolation({ isolation: wanted }: Config, watch: IsolationWatch): Promise<void> {
  if (wanted === undefined) return;
  const { level, notes } = watch.report;
  if (!isAtLeast(level, wanted)) throw tooWeak(wanted, `this machine offers only "${level}"`, notes);
  const tried = await watch.tried();
  const broken = brokenPromises(wanted, tried.holds);
  if (tried.triedAt === null) throw tooWeak(wanted, "it could not be tried whether it holds", tried.notes);
  if (broken.length === 0) return;
  throw tooWeak(wanted, `${broken.join(", ")} of apps were found not to be kept apart`, tried.notes);
}

function tooWeak(wanted: IsolationLevel, found: string, notes: readonly string[]): MaestroError {
  const message = `--isolation ${wanted} is asked for, and ${found}: ${notes.join("; ")}`;
  return new MaestroError("ISOLATION_TOO_WEAK", message, { wanted });
}
