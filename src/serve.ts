import { once } from "node:events";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Config, loadConfig } from "./config.ts";
import { recover } from "./control/recover.ts";
import { stopEverything } from "./control/stop.ts";
import { MaestroError } from "./errors.ts";
import { LockedError, takeLock } from "./lib/lock-file.ts";
import { createLog } from "./lib/log.ts";
import { ownVersion } from "./lib/own-version.ts";
import { assemble, formatAddress, keepLogs, openDoor, type Parts } from "./maestro.ts";
import type { Subject } from "./operations/operation.ts";

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
    process: {
      version: ownVersion(),
      startedAt: began,
      http: parts.http,
      rpc: formatAddress(config.rpc),
      end,
    },
  };
  const rpc = await openDoor(subject, recovered.promise, config, log).catch((error) => giveUp(parts, error));
  subject.process.rpc = rpc.address;
  await recover(parts.controller).catch((error) => giveUp(parts, error));
  recovered.resolve();
  const logKeeper = keepLogs(config, log);
  log.info({ pid: process.pid, http: parts.http, rpc: rpc.address, home: config.home }, "maestro.ready");

  const ending = await Promise.race([asked.promise, signalled]);
  log.info({ ending }, "maestro.ending");
  if (ending === "everything") {
    const ended = endEverything(parts, config);
    await rpc.close();
    await ended;
    await logKeeper.end();
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
