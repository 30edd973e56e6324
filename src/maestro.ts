import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { adopt } from "./apprunner/adopt.ts";
import { probeIsolation } from "./apprunner/isolation.ts";
import { launch } from "./apprunner/launch.ts";
import { follow, lastLines, tail } from "./apprunner/logs.ts";
import { installNode } from "./apprunner/node-runtime.ts";
import { PortAllocator } from "./apprunner/ports.ts";
import { untilReady } from "./apprunner/ready.ts";
import { installStaticServer } from "./apprunner/static-runtime.ts";
import { stop } from "./apprunner/stop.ts";
import { type Config, loadConfig } from "./config.ts";
import { Controller } from "./control/controller.ts";
import type { Runner } from "./control/ports.ts";
import { recover } from "./control/recover.ts";
import { Registry } from "./control/registry.ts";
import { stopEverything } from "./control/stop.ts";
import { Workers } from "./control/workers.ts";
import { isSystemError, MaestroError } from "./errors.ts";
import { LockedError, takeLock } from "./lib/lock-file.ts";
import { createLog, type Log } from "./lib/log.ts";
import { startedAt } from "./lib/processes.ts";
import { dispatch, type Subject } from "./operations/operation.ts";
import { operations } from "./operations/table.ts";
import { createReleaseStore } from "./release/store.ts";
import { startRpc } from "./rpc/door.ts";

/** How the controller ends: `leave` lets workers and apps serve on, `everything` ends them too. */
type Ending = "leave" | "everything";

/**
 * `maestro serve`: runs the controller until it is told to end. SIGTERM ends it alone (with `--stop-apps`:
 * everything); SIGINT and `maestro stop` end everything, a second SIGINT without waiting for what is under way.
 */
export async function serve(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Promise<void> {
  const config = loadConfig(flags, env);
  const log = createLog(config.logLevel);
  const began = new Date().toISOString();
  await prepareHome(config.home);
  await using lock = await lockHome(config.home);

  const signalled = untilSignal(config);
  const parts = await assemble(config, log);
  const recovered = Promise.withResolvers<void>();

  const asked = Promise.withResolvers<Ending>();
  // After the answer has been written: whoever asks for the end is told that it comes.
  const end = () => setImmediate(() => asked.resolve("everything"));
  const subject: Subject = {
    controller: parts.controller,
    process: { version, startedAt: began, http: parts.http, rpc: formatAddress(config.rpc), end },
  };
  const rpc = await openDoor(subject, recovered.promise, config, log).catch((error) => giveUp(parts, error));
  subject.process.rpc = rpc.address;
  await recover(parts.controller).catch((error) => giveUp(parts, error));
  recovered.resolve();
  log.info({ pid: process.pid, http: parts.http, rpc: rpc.address, home: config.home }, "maestro.ready");

  const ending = await Promise.race([asked.promise, signalled]);
  log.info({ ending }, "maestro.ending");
  if (ending === "everything") {
    const ended = endEverything(parts, config);
    await rpc.close();
    await ended;
  }
  log.info({ ending }, "maestro.ended");
  await lock[Symbol.asyncDispose]();
  // Whatever goes on in here must not go on: to leave is to vanish, which workers and apps are made for.
  process.exit(0);
}

async function giveUp({ workers }: Parts, error: unknown): Promise<never> {
  await workers.giveUp();
  throw error;
}

const { version } = JSON.parse(readFileSync(findPackageFile(), "utf8")) as { version: string };

/** package.json: beside src/, or beside dist/ in a published package. */
function findPackageFile(): string {
  const above = fileURLToPath(new URL("..", import.meta.url));
  return join(basename(above) === "dist" ? join(above, "..") : above, "package.json");
}

/** Apps' users pass through the home to their own directory; what is Maestro's own is closed to them. */
async function prepareHome(home: string): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o755 });
  for (const [name, mode] of [
    ["apps", 0o711],
    ["runtimes", 0o755],
    ["state", 0o700],
    ["run", 0o700],
  ] as const) {
    await mkdir(join(home, name), { recursive: true });
    await chmod(join(home, name), mode);
  }
}

async function lockHome(home: string): Promise<AsyncDisposable> {
  try {
    return await takeLock(join(home, "run", "controller.lock"));
  } catch (error) {
    if (!(error instanceof LockedError)) throw error;
    throw new MaestroError(
      "BUSY",
      `Maestro is already running on ${home}, as process ${error.pid}; use another --home, or end it with \`maestro stop\``,
      { home, pid: error.pid },
    );
  }
}

type Parts = { controller: Controller; workers: Workers; http: string[] };

async function assemble(config: Config, log: Log): Promise<Parts> {
  const registry = await Registry.open(config.home, config.domain);
  for (const { name, problem } of registry.broken()) log.error({ app: name, problem }, "registry.broken");
  const releases = createReleaseStore({ home: config.home });
  await releases.sweepPartials();
  const runner = await plugRunner(config);
  const workers = await startWorkers(config, log);
  const [first] = await workers.status();
  const http = (first?.addresses ?? []).map(formatAddress);
  const httpPort = first?.addresses[0]?.port ?? 0;
  return {
    controller: new Controller({ config, log, registry, releases, runner, traffic: workers, httpPort }),
    workers,
    http,
  };
}

function startWorkers(config: Config, log: Log): Promise<Workers> {
  return Workers.start({
    directory: join(config.home, "run", "workers"),
    entry: program("./proxy/worker"),
    settings: {
      listen: config.http,
      holdMs: config.hold * 1000,
      answerMs: config.answerTimeout * 1000,
      trustedProxies: config.trustedProxies,
      accessLog: config.accessLog,
    },
    count: config.workers ?? availableParallelism(),
    log,
  });
}

/** A program of this package, as source or as published. */
function program(path: string): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`${path}.${extension}`, import.meta.url));
}

/** Apprunner's room, as the stories see it. */
async function plugRunner(config: Config): Promise<Runner> {
  const runtimes = join(config.home, "runtimes");
  const runtime = { node: await installNode(runtimes), staticServer: await installStaticServer(runtimes) };
  const ports = new PortAllocator();
  const isolation = probeIsolation({ home: config.home });
  const ownUsers = isolation.level === "process";
  return {
    isolation,
    effectiveUser: (user) => (ownUsers ? user : null),
    launch: (spec) => {
      refuseWeakIsolation(config, isolation);
      return launch(spec, runtime);
    },
    adopt: async (runDirectory) => {
      const found = await adopt(runDirectory);
      if (!found || "ended" in found) return null;
      return { running: found, startedAt: startedAt(found), ...found.record };
    },
    untilReady,
    stop,
    leasePort: () => ports.lease(),
    reservePort: (port) => ports.reserve(port),
    tail,
    follow,
    lastLines: ({ stdout, stderr }, count) => lastLines([stdout, stderr], count),
  };
}

function refuseWeakIsolation({ isolation: wanted }: Config, { level, notes }: Runner["isolation"]): void {
  if (wanted !== "process" || level === "process") return;
  throw new MaestroError(
    "ISOLATION_TOO_WEAK",
    `--isolation ${wanted} is asked for, and this machine offers only "${level}": ${notes.join("; ")}`,
    { wanted, level },
  );
}

type Door = Awaited<ReturnType<typeof startRpc>>;

/** Calls that come before everything has been taken over wait until it has. */
async function openDoor(subject: Subject, recovered: Promise<void>, config: Config, log: Log): Promise<Door> {
  try {
    return await startRpc({
      tcp: { host: config.rpc.host ?? "::", port: config.rpc.port },
      unix: join(config.home, "run", "maestro.sock"),
      operations: [...operations.keys()],
      call: (name, input, call) => recovered.then(() => dispatch(operations, subject, name, input, call)),
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

function formatAddress({ host, port }: { host?: string | undefined; port: number }): string {
  return `${host === undefined || host.includes(":") ? `[${host ?? "::"}]` : host}:${port}`;
}

async function untilSignal({ stopApps }: Config): Promise<Ending> {
  return Promise.race([
    once(process, "SIGTERM").then((): Ending => (stopApps ? "everything" : "leave")),
    once(process, "SIGINT").then((): Ending => "everything"),
  ]);
}

/**
 * No new connections; requests under way finish; apps are told to end at once, and end their streams themselves.
 * A second SIGINT ends the patience with all of them.
 */
async function endEverything({ controller, workers }: Parts, config: Config): Promise<void> {
  const hurry = new AbortController();
  const limits = { requestsMs: config.requestDrain * 1000, streamsMs: 0 };
  const patience = limits.requestsMs + config.stopGrace * 1000;
  process.once("SIGINT", () => {
    hurry.abort();
    void workers.end({ requestsMs: 0, streamsMs: 0 });
  });
  const workersEnded = workers.end({ requestsMs: patience, streamsMs: patience });
  await stopEverything(controller, { limits, hurry: hurry.signal });
  await workersEnded;
}
