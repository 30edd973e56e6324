import { once as event } from "node:events";
import { flushCompileCache } from "node:module";
import { setImmediate as immediate } from "node:timers/promises";
import { type Config, loadConfig } from "./config.ts";
import { beingReplaced, type Controller } from "./control/controller.ts";
import { recover } from "./control/recover.ts";
import { endAllRuns } from "./control/run.ts";
import { endEverything } from "./ending.ts";
import { lockHome, prepareHome } from "./home.ts";
import { closeInherited } from "./lib/descriptors.ts";
import { createLog, type Log } from "./lib/log.ts";
import { ownVersion } from "./lib/own-version.ts";
import { assemble, type Door, formatAddress, type Indoors, openDoor, type Parts } from "./maestro.ts";
import { become, type NextVersion, prepareReload } from "./reload.ts";
import { exitStatusOfStop, isService } from "./service/exit-status.ts";
import { type NotifyOptions, notifyReady, notifyReloading, notifyStopping } from "./service/notify.ts";
import { inheritedSockets } from "./service/sockets.ts";

/**
 * How the controller ends: `leave` lets workers and apps serve on, `everything` ends them too; `for good`: a service
 * manager is not to start it again. With a next version this process becomes that.
 */
type EndingSignal = "leave" | "everything" | "everything for good";
type Ending = EndingSignal | NextVersion;

/**
 * `maestro serve`: runs the controller until it is told to end. SIGTERM ends it alone (with `--stop-apps`:
 * everything); SIGINT and `maestro stop` end everything, a second SIGINT without waiting for what is under way;
 * `maestro reload` makes this process the version that is installed then.
 */
export async function serve(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Promise<void> {
  const handed = inheritedSockets(env, process.pid);
  closeInherited();
  const config = loadConfig(flags, env);
  const log = createLog(config.logLevel);
  await prepareHome(config.home);
  await using lock = await lockHome(config.home);

  const signalled = untilSignal(config);
  const parts = await assemble(config, log, handed);
  const asked = Promise.withResolvers<Ending>();
  const subject = describe(parts, config, (ending) => setImmediate(() => asked.resolve(ending)));
  const recovered = Promise.withResolvers<void>();
  const rpc = await openDoor(subject, recovered.promise, config, log).catch((error) => giveUp(parts, error));
  subject.process.rpc = rpc.address;
  parts.data.start();
  await recover(parts.controller).catch((error) => rpc.close().then(() => giveUp(parts, error)));
  recovered.resolve();
  parts.logKeeper.start();
  log.info({ pid: process.pid, http: parts.http, rpc: rpc.address, home: config.home }, "maestro.ready");
  flushCompileCache(); // It would be written at the end of this process only, which may be its replacement.
  void notifyReady(`serves ${parts.http.join(", ")}`, { env, log });
  if (isService(env)) void parts.workers.stranded.then(() => giveWayToServiceManager(log));

  const asks = await Promise.race([asked.promise, signalled]);
  log.info({ ending: typeof asks === "string" ? asks : "reload" }, "maestro.ending");
  const ending = typeof asks === "string" ? asks : await replace(asks, parts, rpc, signalled, { env, log });
  void notifyStopping(ending, { env, log });
  if (ending !== "leave") {
    const ended = endEverything(parts, config);
    await rpc.close();
    await ended;
  } else await endAllRuns(parts.controller, "Maestro was ended");
  await parts.controller.history.settled();
  log.info({ ending }, "maestro.ended");
  await lock[Symbol.asyncDispose]();
  // Whatever goes on in here must not go on: to leave is to vanish, which workers and apps are made for.
  process.exit(ending === "everything for good" ? exitStatusOfStop(env) : 0);
}

/** The sockets that systemd handed over do not last over a reload: only a fresh start gets them again. */
function giveWayToServiceManager(log: Log): never {
  log.error({}, "maestro.stranded");
  process.exit(1);
}

/** What operations act on. `end` is called before the answer has been written: whoever asks is told that it comes. */
function describe({ controller, workers, http }: Parts, config: Config, end: (how: Ending) => void): Indoors {
  const facts: Indoors["process"] = {
    version: ownVersion,
    startedAt: new Date().toISOString(),
    http,
    rpc: formatAddress(config.rpc),
    end: () => end("everything for good"),
    reload: once(async () => {
      const { next, report } = await prepareReload(workers, facts, config);
      end(next);
      return report;
    }),
  };
  return { controller, process: facts };
}

/** Whoever asks while it is under way gets the same answer; after a failure it can be asked again. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | null = null;
  return async () => {
    underWay ??= work();
    try {
      return await underWay;
    } catch (error) {
      underWay = null;
      throw error;
    }
  };
}

/**
 * Becomes the next version. What has been begun is seen through by the version that began it, and nothing is begun any
 * more; a signal in that time is obeyed instead.
 */
async function replace(
  next: NextVersion,
  { controller }: Parts,
  rpc: Door,
  signalled: Promise<EndingSignal>,
  notify: NotifyOptions,
): Promise<EndingSignal> {
  await notifyReloading("is being replaced by the installed version", notify);
  controller.beginReplacement();
  const quiet = seeThrough(controller)
    .then(() => rpc.close(beingReplaced()))
    .then(() => immediate()); // A signal that has come by now is heard.
  return (await Promise.race([quiet, signalled])) ?? become(next);
}

async function seeThrough(controller: Controller): Promise<void> {
  await controller.serializer.idle();
  await endAllRuns(controller, "Maestro was replaced by its next version");
  await controller.history.settled();
  await immediate(); // Whoever waited for what ended last is answered in between.
}

async function giveUp({ workers }: Parts, error: unknown): Promise<never> {
  await workers.giveUp();
  throw error;
}

async function untilSignal({ stopApps }: Config): Promise<EndingSignal> {
  return Promise.race([
    event(process, "SIGTERM").then((): EndingSignal => (stopApps ? "everything" : "leave")),
    event(process, "SIGINT").then((): EndingSignal => "everything for good"),
  ]);
}
