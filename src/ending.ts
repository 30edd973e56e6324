import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Config, loadConfig } from "./config.ts";
import { findInstances, takeOver } from "./control/found.ts";
import { stopEverything } from "./control/stop.ts";
import { MaestroError } from "./errors.ts";
import { lockHome } from "./home.ts";
import { silentLog } from "./lib/log.ts";
import { assemble, type Parts } from "./maestro.ts";

/** What was ended where no controller was: apps, and processes by kind. */
export type Ended = { home: string; stopped: string[]; instances: number; workers: number };

/**
 * `maestro stop` where no controller answers: ends what one has left running on a home. Throws `BUSY` with the pid when
 * there is a controller, `BAD_INPUT` when there is no such home.
 */
export async function endWithoutController(
  flags: Record<string, unknown>,
  env: NodeJS.ProcessEnv,
): Promise<Ended> {
  const config = loadConfig(flags, env);
  const { home } = config;
  if (!existsSync(home)) {
    throw new MaestroError(
      "BAD_INPUT",
      `there is no ${home}: no Maestro has run there; name its home with --home`,
      {
        home,
      },
    );
  }
  await using _lock = await lockHome(home);
  const parts = await assemble({ ...config, workers: 0 }, silentLog, []);
  const { running } = await findInstances(parts.controller);
  for (const found of running) takeOver(parts.controller, found);
  await endEverything(parts, config);
  await rm(join(home, "run", "maestro.sock"), { force: true }); // One that was killed leaves it.
  const stopped = new Set([...running].map(({ app }) => app));
  return { home, stopped: [...stopped].sort(), instances: running.size, workers: parts.workers.found };
}

/**
 * No new connections; requests under way finish; apps are told to end at once, and end their streams themselves.
 * A second SIGINT ends the patience with all of them.
 */
export async function endEverything(
  { controller, workers, logKeeper, data }: Parts,
  config: Config,
): Promise<void> {
  const hurry = new AbortController();
  const limits = { requestsMs: config.requestDrain * 1000, streamsMs: 0 };
  const patience = limits.requestsMs + config.stopGrace * 1000;
  process.once("SIGINT", () => {
    hurry.abort();
    void workers.end({ requestsMs: 0, streamsMs: 0 });
  });
  const workersEnded = workers.end({ requestsMs: patience, streamsMs: patience });
  await stopEverything(controller, { limits, hurry: hurry.signal });
  await controller.runner.close();
  await data.end(); // Behind the apps, which may write until they end.
  await logKeeper.end(); // Last, because the apps' last words are lines of their logs too.
  await workersEnded;
}
