import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Access } from "./access/access.ts";
import { openHost } from "./apprunner/host.ts";
import { installNode } from "./apprunner/node-runtime.ts";
import type { Config } from "./config.ts";
import { Controller } from "./control/controller.ts";
import { History } from "./control/history.ts";
import { prepareIncoming } from "./control/register.ts";
import { Registry } from "./control/registry.ts";
import type { WorkerProgram } from "./control/worker-program.ts";
import { Workers } from "./control/workers.ts";
import { Data } from "./data/data.ts";
import { isSystemError, MaestroError } from "./errors.ts";
import type { KeptProcess } from "./lib/kept-process.ts";
import type { Log } from "./lib/log.ts";
import { ownVersion } from "./lib/own-version.ts";
import { Stamps } from "./lib/stamp.ts";
import { AppLogs } from "./logs/app-logs.ts";
import { logKeeper } from "./logs/log-keeper.ts";
import { dispatch, type Subject } from "./operations/operation.ts";
import { operations } from "./operations/table.ts";
import type { DataEvent } from "./protocol/data.ts";
import { createReleaseStore, type ReleaseStore } from "./release/store.ts";
import { startRpc } from "./rpc/door.ts";
import { plugRunner } from "./runner.ts";

/* The composition root: the one file that knows every part, and plugs them into each other. */

/** What is kept on disk: what is wanted, what was done, the releases. */
export type State = { registry: Registry; stamps: Stamps; history: History; releases: ReleaseStore };

/** Reads it, and changes nothing. */
export async function openState(config: Config, log: Log): Promise<State> {
  const { home, domain, keepReleases: keep, keepReleaseDays: keepDays } = config;
  const registry = await Registry.open(home, domain);
  const stamps = new Stamps();
  const history = await History.open({ home, stamps, log });
  return { registry, stamps, history, releases: createReleaseStore({ home, keep, keepDays }) };
}

export type Parts = {
  controller: Controller;
  workers: Workers;
  logKeeper: KeptProcess;
  data: Data;
  http: string[];
};

/** `handed`: descriptors of listening sockets that a service manager handed over. */
export async function assemble(config: Config, log: Log, handed: readonly number[]): Promise<Parts> {
  const state = await openState(config, log);
  for (const { name, problem } of state.registry.broken())
    log.error({ app: name, problem }, "registry.broken");
  await state.registry.removeTorn();
  await state.history.removeTorn();
  await state.releases.sweepPartials();
  // First of all: it may move this process to a control group of its own.
  const host = await openHost(config);
  const data = await Data.open({
    home: config.home,
    couch: config.couch,
    entries: { server: program("./data/server"), endpoint: program("./data/endpoint") },
    log,
  });
  const workers = await Workers.start({
    directory: workersDirectory(config),
    program: workerProgram(config),
    handed,
    log,
  });
  const [first] = await workers.status();
  const http = (first?.addresses ?? []).map(formatAddress);
  const openPorts = (first?.addresses ?? []).map(({ port }) => port);
  const network = { uids: state.registry.uids, openPorts: [...openPorts, ...data.openPorts] };
  const runner = await plugRunner(config, host, network, log);
  return {
    controller: new Controller({
      ...state,
      config,
      log,
      runner,
      traffic: workers,
      logs: new AppLogs(config.home),
      databases: data,
      httpPort: openPorts[0] ?? 0,
    }),
    workers,
    logKeeper: logKeeper({
      home: config.home,
      entry: program("./logs/keeper"),
      bounds: { partBytes: config.logSize * 1024 * 1024, parts: config.logFiles },
      log,
    }),
    data,
    http,
  };
}

/** The workers that this version of Maestro wants. */
export function workerProgram(config: Config): WorkerProgram {
  return {
    entry: program("./proxy/worker"),
    version: ownVersion,
    settings: {
      listen: config.http,
      holdMs: config.hold * 1000,
      answerMs: config.answerTimeout * 1000,
      trustedProxies: config.trustedProxies,
      maxConnections: config.maxConnections,
      accessLog: config.accessLog,
    },
    count: config.workers ?? availableParallelism(),
  };
}

const workersDirectory = ({ home }: Config) => join(home, "run", "workers");

/** A program of this package, as source or as published. */
function program(path: string): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`${path}.${extension}`, import.meta.url));
}

export type Door = Pick<Awaited<ReturnType<typeof startRpc>>, "address" | "close">;

/** What operations act on, with what opens with the door. */
export type Indoors = Omit<Subject, "access">;

/** Calls that come before everything has been taken over wait until it has. */
export async function openDoor(
  indoors: Indoors,
  recovered: Promise<void>,
  config: Config,
  log: Log,
): Promise<Door> {
  const { controller } = indoors;
  const access = await openAccess(controller, recovered, config, log, (...who) => rpc.enter(...who));
  const subject: Subject = { ...indoors, access };
  const rpc = await startDoor(subject, access, recovered, config, log);
  await access.start();
  controller.databases.follow((moved) => tellOfMove(moved, access, log));
  return {
    address: rpc.address,
    close: async (reason) => void (await Promise.all([rpc.close(reason), access.close()])),
  };
}

/** A database that changes its home is a matter for the log and the audit, though nobody called for it. */
async function tellOfMove({ app, event, reason, at }: DataEvent, { audit }: Access, log: Log): Promise<void> {
  const did = event === "failed over" ? "fail-over" : "come-back";
  log.warn({ app, reason, movedAt: at }, event === "failed over" ? "data.failed-over" : "data.came-back");
  await audit.note({ by: "maestro", did, app, outcome: "done", why: reason });
}

/** Access over SSH, as it works on the controller. */
function openAccess(
  controller: Controller,
  recovered: Promise<void>,
  config: Config,
  log: Log,
  enter: Parameters<typeof Access.open>[1]["enter"],
): Promise<Access> {
  const ports = {
    prepareIncoming: (app: string) => recovered.then(() => prepareIncoming(controller, app)),
    beginReceiving: (app: string, by: string) => controller.releases.beginReceiving(app, by),
    endReceiving: (app: string) => controller.releases.endReceiving(app),
    isDeploying: (app: string) => controller.runtime(app).deploying !== null,
    untilIdle: (app: string) => controller.serializer.run(app, async () => {}),
    installNode: () => installNode(join(config.home, "runtimes")),
    enter,
  };
  return Access.open(config, ports, log);
}

async function startDoor(
  subject: Subject,
  access: Access,
  recovered: Promise<void>,
  config: Config,
  log: Log,
): Promise<Awaited<ReturnType<typeof startRpc>>> {
  try {
    return await startRpc({
      tcp: { host: config.rpc.host ?? "::", port: config.rpc.port },
      unix: join(config.home, "run", "maestro.sock"),
      operations: [...operations.keys()],
      call: async (name, input, call) => {
        await recovered;
        const { principal, signal } = call;
        return access.turns.watch({ name, input, principal, signal }, () =>
          dispatch(operations, subject, name, input, call),
        );
      },
      ...(config.rpcToken === undefined ? {} : { token: config.rpcToken }),
      isAppUser: (uid) => subject.controller.registry.isAppUid(uid),
      log,
    });
  } catch (error) {
    if (!isSystemError(error, "EADDRINUSE", "EACCES", "EADDRNOTAVAIL")) throw error;
    const address = formatAddress(config.rpc);
    const message = `cannot listen for RPC on ${address} (${error.code}): another program listens there, or it is not an address of this machine; choose another with --rpc`;
    throw new MaestroError("BAD_INPUT", message, { rpc: address });
  }
}

export function formatAddress({ host, port }: { host?: string | undefined; port: number }): string {
  return `${host === undefined || host.includes(":") ? `[${host ?? "::"}]` : host}:${port}`;
}
