import { setTimeout as pause } from "node:timers/promises";
import { MaestroError } from "../errors.ts";
import { backoff } from "../lib/backoff.ts";
import type { AppRuntime, Controller } from "./controller.ts";
import { discard, startInstance } from "./start.ts";
import { enterService } from "./supervise.ts";

/** From this many deaths in a row on an app is reported as failing. */
export const failingAfter = 3;
const pauses = { first: 500, most: 30_000, jitter: 0.1 };

/** Marks a place as being filled again, instead of whatever was filling it. */
export function beginRevival(runtime: AppRuntime, id: string): AbortController {
  const revival = new AbortController();
  runtime.revivals.get(id)?.abort();
  runtime.revivals.set(id, revival);
  return revival;
}

/**
 * Starts an instance in an empty place, at once after a first death, then with growing pauses, until it serves
 * or is not wanted any more. Requests are held meanwhile, as long as the app is not known to fail.
 */
export async function revive(
  controller: Controller,
  name: string,
  id: string,
  revival: AbortController,
): Promise<void> {
  const runtime = controller.runtime(name);
  const waits = backoff(pauses);
  for (let skip = 1; skip < (runtime.deaths.get(id) ?? 0) - 1; skip += 1) waits.next();
  try {
    if ((runtime.deaths.get(id) ?? 0) > 1)
      await republishAndPause(controller, name, waits.next(), revival.signal);
    while (!(await attempt(controller, name, id, revival.signal))) {
      await republishAndPause(controller, name, waits.next(), revival.signal);
    }
  } catch (error) {
    if (!revival.signal.aborted && !controller.ending.aborted) {
      controller.log.error({ app: name, instance: id, error: (error as Error).message }, "revive.failed");
    }
  } finally {
    if (runtime.revivals.get(id) === revival) runtime.revivals.delete(id);
  }
}

async function republishAndPause(
  controller: Controller,
  name: string,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  await controller.publish(controller.registry.get(name));
  await pause(ms, undefined, { signal });
}

async function attempt(
  controller: Controller,
  name: string,
  id: string,
  signal: AbortSignal,
): Promise<boolean> {
  const app = controller.registry.get(name);
  const runtime = controller.runtime(name);
  const unwanted = () => app.stopped || runtime.serving.has(id);
  if (app.release === null || unwanted()) return true;
  try {
    await controller.publish(app);
    const release = await controller.releases.get(name, app.release);
    const instance = await startInstance(controller, { app, release, id }, signal);
    if (signal.aborted || unwanted()) await discard(controller, instance);
    signal.throwIfAborted();
    if (unwanted()) return true;
    enterService(controller, app, instance);
    runtime.revivals.delete(id);
    await controller.publish(controller.registry.get(name));
    return true;
  } catch (error) {
    signal.throwIfAborted();
    controller.ending.throwIfAborted();
    const deaths = (runtime.deaths.get(id) ?? 0) + 1;
    runtime.deaths.set(id, deaths);
    controller.log.warn(
      { app: name, instance: id, deaths, error: (error as Error).message },
      "instance.not-ready",
    );
    if (deaths >= failingAfter) runtime.problem = problemOf(id, deaths, error);
    return false;
  }
}

function problemOf(id: string, deaths: number, error: unknown) {
  const lines = error instanceof MaestroError ? error.details["lastLines"] : undefined;
  return {
    message: `${id} could not be started ${deaths} times in a row: ${(error as Error).message}`,
    lastWords: Array.isArray(lines) ? lines.map(String) : [],
  };
}
