import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { App } from "../app/app.ts";
import { namesIn } from "../lib/directory.ts";
import type { Controller } from "./controller.ts";
import { Instance } from "./instance.ts";
import type { AdoptedInstance } from "./ports.ts";
import { retire } from "./retire.ts";
import { beginRevival, revive } from "./revive.ts";
import { untilReady } from "./start.ts";
import { wantedInstances } from "./start-all.ts";
import { enterService } from "./supervise.ts";
import { track } from "./track.ts";

/**
 * Brings what runs in line with what is wanted, after a start of the controller: takes over the instances of an
 * earlier one, stops those that nobody wants, starts those that are missing. Resolves when the workers have every
 * route; what has to be started comes after that, its requests being held.
 */
export async function recover(controller: Controller): Promise<void> {
  const found = await findInstances(controller);
  const apps = controller.registry.all();
  await Promise.all(apps.map((app) => adoptWanted(controller, app, found)));
  const missing = (await Promise.all(apps.map((app) => findMissing(controller, app)))).flat();
  const revivals = missing
    .filter(({ app, id }) => !controller.runtime(app).revivals.has(id))
    .map(({ app, id }) => ({ app, id, revival: beginRevival(controller.runtime(app), id) }));

  await controller.traffic.apply({
    replace: true,
    put: apps.map((app) => controller.route(app)),
    remove: [],
  });

  for (const { app, id, revival } of revivals) void revive(controller, app, id, revival);
  retireStrays(controller, found);
}

/** What earlier controllers left under run/instances/; the directories of those that have ended are removed. */
async function findInstances(controller: Controller): Promise<Set<AdoptedInstance>> {
  const directory = join(controller.config.home, "run", "instances");
  const found = new Set<AdoptedInstance>();
  for (const key of await namesIn(directory)) {
    const path = join(directory, key);
    const adopted = await controller.runner.adopt(path);
    if (adopted) found.add(adopted);
    else await rm(path, { recursive: true, force: true });
  }
  return found;
}

/** Takes over the instances that are wanted: of the wanted release, one for each id, the newest. */
async function adoptWanted(controller: Controller, app: App, found: Set<AdoptedInstance>): Promise<void> {
  if (app.stopped || app.release === null) return;
  const candidates = [...found]
    .filter(({ app: name, release }) => name === app.name && release === app.release)
    .sort((a, b) => b.startedAt.localeCompare(a.startedAt));
  for (const candidate of candidates) {
    if (controller.runtime(app.name).serving.has(candidate.id)) continue;
    const instance = takeOver(controller, app.name, candidate);
    if (!(await answers(controller, app, instance))) continue;
    found.delete(candidate);
    enterService(controller, app, instance);
    controller.log.info(
      { app: app.name, instance: instance.id, pid: instance.running.pid },
      "instance.adopted",
    );
  }
}

function takeOver(controller: Controller, app: string, adopted: AdoptedInstance): Instance {
  const lease = adopted.port === null ? null : controller.runner.reservePort(adopted.port);
  const instance = new Instance(adopted, lease);
  track(controller, app, instance);
  return instance;
}

/** An instance that was still starting when its controller died, or is stuck, is replaced rather than adopted. */
async function answers(controller: Controller, app: App, instance: Instance): Promise<boolean> {
  if (instance.port === null) return true;
  try {
    const release = await controller.releases.get(app.name, instance.release);
    await untilReady(controller, { app, release }, instance, AbortSignal.timeout(3000), 2000);
    return true;
  } catch (error) {
    controller.log.warn(
      { app: app.name, instance: instance.id, error: (error as Error).message },
      "instance.not-adopted",
    );
    return false;
  }
}

async function findMissing(controller: Controller, app: App): Promise<{ app: string; id: string }[]> {
  if (app.stopped || app.release === null) return [];
  const runtime = controller.runtime(app.name);
  try {
    const release = await controller.releases.get(app.name, app.release);
    return wantedInstances(app, release)
      .filter((id) => !runtime.serving.has(id))
      .map((id) => ({ app: app.name, id }));
  } catch (error) {
    runtime.problem = {
      message: `release v${app.release} cannot be used: ${(error as Error).message}; deploy ${app.name} again`,
      lastWords: [],
    };
    controller.log.error({ app: app.name, error: (error as Error).message }, "release.unusable");
    return [];
  }
}

/** Nobody wants these, but what was under way at them still is: they drain like any that was replaced. */
function retireStrays(controller: Controller, strays: Set<AdoptedInstance>): void {
  for (const stray of strays) {
    const { running, app: name, id } = stray;
    controller.log.info({ app: name, instance: id, pid: running.pid }, "instance.stray");
    const living = [...controller.runtime(name).living];
    const instance = living.find(({ key }) => key === running.key) ?? takeOver(controller, name, stray);
    if (instance.state === "starting") instance.became("ready"); // or was, when an earlier controller saw it
    void retire(controller, name, [instance]);
  }
}
