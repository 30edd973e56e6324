import type { App } from "../app/app.ts";
import type { AppRoute } from "../protocol/worker.ts";
import type { Controller } from "./controller.ts";
import { type Found, findInstances, takeOver } from "./found.ts";
import type { Instance } from "./instance.ts";
import type { AdoptedInstance, EndedInstance } from "./ports.ts";
import { retire } from "./retire.ts";
import { beginRevival, revive } from "./revive.ts";
import { untilReady } from "./start.ts";
import { enterService } from "./supervise.ts";
import { sweepDaily } from "./tidy.ts";
import { wantedInstances } from "./wanted.ts";
import { frozenUntil, keepWarm, thaw } from "./warm.ts";

/**
 * Brings what runs in line with what is wanted, after a start of the controller: takes over the instances of an
 * earlier one, stops those that nobody wants, starts those that are missing, and ends the deploys that it had begun.
 * Resolves when the workers have every route; what has to be started comes after that, its requests being held.
 */
export async function recover(controller: Controller): Promise<void> {
  const found = await findInstances(controller);
  const apps = controller.registry.all();
  await Promise.all(apps.map((app) => adoptWanted(controller, app, found)));
  for (const app of apps) await keepFrozen(controller, app, found);
  await concludeDeploys(controller);
  const missing = (await Promise.all(apps.map((app) => findMissing(controller, app)))).flat();
  const revivals = missing
    .filter(({ app, id }) => !controller.runtime(app.name).revivals.has(id))
    .map((place) => ({ ...place, revival: beginRevival(controller.runtime(place.app.name), place.id) }));
  for (const { app, id } of revivals) rememberDeath(controller, app, id, found.ended);

  const put = [...apps.map((app) => controller.route(app)), ...leaveBroken(controller, found)];
  controller.nameHosts();
  await controller.traffic.apply({ replace: true, put, remove: [] });

  for (const { app, id, revival } of revivals) void revive(controller, app.name, id, revival);
  void tidyUp(controller, found);
}

/** What is left of an earlier controller's time goes; the releases of deploys that were undone among it. */
async function tidyUp(controller: Controller, { running: strays }: Found): Promise<void> {
  await retireStrays(controller, strays);
  await sweepDaily(controller);
  controller.log.info({}, "maestro.settled");
}

/** Takes over the instances that are wanted: of the wanted release, one for each id, the latest that answers. */
async function adoptWanted(controller: Controller, app: App, { running }: Found): Promise<void> {
  if (app.stopped || app.release === null) return;
  // One whose record is damaged runs all the same: then what runs of it is what is wanted.
  const release = await controller.releases.get(app.name, app.release).catch(() => null);
  const ids = release && new Set(wantedInstances(app, release));
  for (const candidate of running) {
    const isWanted = candidate.app === app.name && candidate.release === app.release;
    if (
      !isWanted ||
      ids?.has(candidate.id) === false ||
      controller.runtime(app.name).serving.has(candidate.id)
    )
      continue;
    const instance = takeOver(controller, candidate);
    // Somebody was about to go back to this release, and had decided it.
    if ((await frozenUntil(controller, candidate)) !== null) await thaw(controller, candidate);
    if (!(await answers(controller, app, instance))) continue;
    running.delete(candidate);
    enterService(controller, app, instance);
    const { id, running: process, port } = instance;
    controller.log.info({ app: app.name, instance: id, pid: process.pid, port }, "instance.adopted");
  }
}

/** What an earlier controller froze stays frozen, for what is left of its time. */
async function keepFrozen(controller: Controller, app: App, { running }: Found): Promise<void> {
  for (const candidate of running) {
    const until = candidate.app === app.name ? await frozenUntil(controller, candidate) : null;
    const leftMs = Math.min((until ?? 0) - Date.now(), controller.config.warm * 1000);
    if (app.stopped || candidate.release === app.release || leftMs <= 0) continue;
    const instance = takeOver(controller, candidate);
    instance.became("ready");
    instance.became("replaced");
    if (await keepWarm(controller, app.name, instance, leftMs)) running.delete(candidate);
  }
}

/** An instance that was still starting when its controller died, or is stuck, is replaced rather than adopted. */
async function answers(controller: Controller, app: App, instance: Instance): Promise<boolean> {
  if (instance.port === null) return true;
  try {
    // One whose record is damaged runs all the same; whether its port accepts is then all that can be asked.
    const release = await controller.releases.get(app.name, instance.release).catch(() => null);
    const readiness = release?.plan.ready ?? { kind: "port" };
    await untilReady(controller, app, readiness, instance, {
      signal: AbortSignal.timeout(3000),
      timeoutMs: 2000,
    });
    return true;
  } catch (error) {
    controller.log.warn(
      { app: app.name, instance: instance.id, error: (error as Error).message },
      "instance.not-adopted",
    );
    return false;
  }
}

/** The registry is where a deploy is decided: one that it names has come about, any other has changed nothing. */
async function concludeDeploys(controller: Controller): Promise<void> {
  for (const record of controller.history.unfinished) {
    const { id: deploy, app, by, step } = record;
    const decided = controller.registry.known(app)?.deploy === deploy;
    const outcome = decided ? "finished" : "undone";
    await controller.history.conclude(record, outcome);
    controller.log.warn({ app, deploy, by, step, outcome }, "deploy.recovered");
  }
}

/**
 * An app whose registry file cannot be used is left as it is: what runs of it goes on, on the routes that it had, until
 * somebody has mended the file. Answers these routes.
 */
function leaveBroken(controller: Controller, { running }: Found): AppRoute[] {
  const broken = new Set(controller.registry.broken().map(({ name }) => name));
  for (const found of running) {
    if (!broken.has(found.app)) continue;
    running.delete(found);
    takeOver(controller, found).became("ready");
    controller.log.warn({ app: found.app, instance: found.id, pid: found.running.pid }, "instance.left");
  }
  return [...broken].flatMap((name) => controller.traffic.routeOf(name) ?? []);
}

type Place = { app: App; id: string };

async function findMissing(controller: Controller, app: App): Promise<Place[]> {
  if (app.stopped || app.release === null) return [];
  const runtime = controller.runtime(app.name);
  try {
    const release = await controller.releases.get(app.name, app.release);
    return wantedInstances(app, release)
      .filter((id) => !runtime.serving.has(id))
      .map((id) => ({ app, id }));
  } catch (error) {
    runtime.problem = {
      message: `release v${app.release} cannot be used: ${(error as Error).message}; deploy ${app.name} again`,
      lastWords: [],
    };
    controller.log.error({ app: app.name, error: (error as Error).message }, "release.unusable");
    return [];
  }
}

/** Why the place is empty, when its instance died while nobody looked after it. */
function rememberDeath(
  controller: Controller,
  { name, release }: App,
  id: string,
  ended: EndedInstance[],
): void {
  const dead = ended.findLast((other) => other.app === name && other.id === id && other.release === release);
  if (!dead) return;
  const { endedAt: at } = dead;
  controller.runtime(name).lastDeath = { instance: id, release: dead.release, at, exit: dead.ended };
  controller.log.warn({ app: name, instance: id, at, ...dead.ended }, "instance.died");
}

/** Nobody wants these, but what was under way at them still is: they drain like any that was replaced. */
async function retireStrays(controller: Controller, strays: Set<AdoptedInstance>): Promise<void> {
  await Promise.all(
    [...strays].map((stray) => {
      const { running, app: name, id } = stray;
      controller.log.info({ app: name, instance: id, pid: running.pid }, "instance.stray");
      const living = [...controller.runtime(name).living];
      const instance = living.find(({ key }) => key === running.key) ?? takeOver(controller, stray);
      if (instance.state === "starting") instance.became("ready"); // or was, when an earlier controller saw it
      return retire(controller, name, [instance]);
    }),
  );
}
