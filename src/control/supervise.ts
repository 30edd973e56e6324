import type { App } from "../app/app.ts";
import { describeExit, type Exit } from "../app/instance.ts";
import { ageMs } from "../lib/processes.ts";
import type { AppRuntime, Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { beginRevival, failingAfter, revive } from "./revive.ts";
import { lastWords } from "./start.ts";

/** An instance that lived this long has recovered: its next death is a first one again. */
const recoveredAfterMs = 60_000;

/** From here on an instance is wanted: traffic may go to it, and another takes its place when it dies. */
export function enterService(controller: Controller, app: App, instance: Instance): void {
  const runtime = controller.runtime(app.name);
  // One that has just died enters too: its death is noticed below, and it is started again.
  if (instance.state === "starting") instance.became("ready");
  runtime.serving.set(instance.id, instance);
  forgetProblemLater(runtime, instance);
  void instance.running.exited.then((exit) => {
    if (runtime.serving.get(instance.id) === instance) replaceDead(controller, app, instance, exit);
  });
}

/** The revival is registered in the same moment in which the place becomes empty: a stop or a deploy can end it. */
function replaceDead(controller: Controller, app: App, instance: Instance, exit: Exit): void {
  const runtime = controller.runtime(app.name);
  runtime.serving.delete(instance.id);
  if (controller.ending.aborted) return;
  const revival = beginRevival(runtime, instance.id);
  // Children that it left behind would hold its port, or answer in its place.
  void controller.runner.stop(instance.running, { graceMs: 0 }).catch((error: Error) => {
    const facts = { app: app.name, instance: instance.id, error: error.message };
    controller.log.error(facts, "instance.not-ended");
  });
  void noteDeath(controller, runtime, app, instance, exit).then(() =>
    revive(controller, app.name, instance.id, revival),
  );
}

async function noteDeath(
  controller: Controller,
  runtime: AppRuntime,
  app: App,
  instance: Instance,
  exit: Exit,
): Promise<void> {
  const { id, release } = instance;
  runtime.lastDeath = { instance: id, release, at: new Date().toISOString(), exit };
  const livedMs = Math.round(ageMs(instance.running));
  const deaths = livedMs > recoveredAfterMs ? 1 : (runtime.deaths.get(instance.id) ?? 0) + 1;
  runtime.deaths.set(instance.id, deaths);
  if (deaths >= failingAfter) {
    runtime.problem = {
      message: `${instance.id} has died ${deaths} times in a row; the last time it ${describeExit(exit)} after ${livedMs} ms`,
      // Whatever keeps its words from being read must not keep it from being started again.
      lastWords: await lastWords(controller, instance).catch(() => []),
    };
  }
  controller.log.warn({ app: app.name, instance: instance.id, livedMs, deaths, ...exit }, "instance.died");
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
