import { setTimeout as pause } from "node:timers/promises";
import type { App } from "../app/app.ts";
import type { Exit } from "../app/instance.ts";
import { MaestroError } from "../errors.ts";
import { backoff } from "../lib/backoff.ts";
import type { AppRuntime, Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { discard, startInstance } from "./start.ts";

/** An instance that lived this long has recovered: its next death is a first one again. */
const recoveredAfterMs = 60_000;
/** From this many deaths in a row on an app is reported as failing. */
const failingAfter = 3;
const pauses = { first: 500, most: 30_000, jitter: 0.1 };

/** Looks after an instance that serves: when it dies, another takes its place. */
export function supervise(controller: Controller, app: App, instance: Instance): void {
  const runtime = controller.runtime(app.name);
  void instance.running.exited.then(async (exit) => {
    if (runtime.serving.get(instance.id) !== instance) return; // it was asked to go
    runtime.serving.delete(instance.id);
    // Children that it left behind would hold its port, or answer in its place.
    void controller.runner.stop(instance.running, { graceMs: 0 });
    await noteDeath(controller, runtime, app, instance, exit);
    await revive(controller, app.name, instance.id);
  });
}

async function noteDeath(
  controller: Controller,
  runtime: AppRuntime,
  app: App,
  instance: Instance,
  exit: Exit,
): Promise<void> {
  const livedMs = Date.now() - Date.parse(instance.startedAt);
  const deaths = livedMs > recoveredAfterMs ? 1 : (runtime.deaths.get(instance.id) ?? 0) + 1;
  runtime.deaths.set(instance.id, deaths);
  if (deaths >= failingAfter) {
    const how = exit.signal ? `was ended by ${exit.signal}` : `exited with code ${exit.code ?? "unknown"}`;
    runtime.problem = {
      message: `${instance.id} has died ${deaths} times in a row; the last time it ${how} after ${livedMs} ms`,
      lastWords: await controller.runner.lastLines(instance.output, 20),
    };
  }
  controller.log.warn({ app: app.name, instance: instance.id, livedMs, deaths, ...exit }, "instance.died");
}

/**
 * Starts an instance in an empty place, at once after a first death, then with growing pauses, until it serves
 * or is not wanted any more. Requests are held meanwhile, as long as the app is not known to fail.
 */
export async function revive(controller: Controller, name: string, id: string): Promise<void> {
  const runtime = controller.runtime(name);
  const revival = new AbortController();
  runtime.revivals.get(id)?.abort();
  runtime.revivals.set(id, revival);
  const waits = backoff(pauses);
  for (let skip = 1; skip < (runtime.deaths.get(id) ?? 0) - 1; skip += 1) waits.next();
  try {
    if ((runtime.deaths.get(id) ?? 0) > 1)
      await republishAndPause(controller, name, waits.next(), revival.signal);
    while (!(await attempt(controller, name, id, revival.signal))) {
      await republishAndPause(controller, name, waits.next(), revival.signal);
    }
  } catch (error) {
    if (!revival.signal.aborted) {
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
  if (app.release === null) return true;
  try {
    await controller.publish(app);
    const release = await controller.releases.get(name, app.release);
    const instance = await startInstance(controller, { app, release, id }, signal);
    if (signal.aborted) await discard(controller, instance);
    signal.throwIfAborted();
    enterService(controller, app, instance);
    runtime.revivals.delete(id);
    await controller.publish(controller.registry.get(name));
    return true;
  } catch (error) {
    signal.throwIfAborted();
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

/** From here on an instance is wanted: traffic may go to it, and it is started again when it dies. */
export function enterService(controller: Controller, app: App, instance: Instance): void {
  const runtime = controller.runtime(app.name);
  instance.became("ready");
  runtime.serving.set(instance.id, instance);
  forgetProblemLater(runtime, instance);
  supervise(controller, app, instance);
}

/** A problem is over when an instance has lived for a while, not when it has merely started once more. */
function forgetProblemLater(runtime: AppRuntime, instance: Instance): void {
  const timer = setTimeout(() => {
    runtime.deaths.delete(instance.id);
    runtime.problem = null;
  }, recoveredAfterMs);
  timer.unref();
  void instance.running.exited.then(() => clearTimeout(timer));
}
