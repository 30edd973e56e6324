import { readFile, rm, writeFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import type { App } from "../app/app.ts";
import type { Release } from "../app/release.ts";
import { instanceFiles } from "../protocol/instance-files.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { retire } from "./retire.ts";
import { untilReady } from "./start.ts";
import { sweepReleases } from "./tidy.ts";
import { runDirectoryOf } from "./track.ts";
import { wantedInstances } from "./wanted.ts";

/*
 * Instances that were replaced are kept frozen for a while: they take memory and no time, and serve again within
 * milliseconds. What is frozen is written down beside the instance before it is, so that the next controller knows.
 */

/** An instance that is frozen, in the order in which they were. */
export type Frozen = { app: string; timer: NodeJS.Timeout };

/** Nothing is kept when less than this share of the machine's memory is to be had. */
const memoryShare = 0.1;
const memoryCheckMs = 10_000;

/** How long a thawed instance may take to answer; a fresh one is started after that. */
const thawedReadyMs = 2000;

/** Freezes an instance that has drained wholly; answers whether it did. Those frozen first give way. */
export async function keepWarm(
  controller: Controller,
  app: string,
  instance: Instance,
  forMs = controller.config.warm * 1000,
): Promise<boolean> {
  const { config, frozen, log } = controller;
  if (config.warmInstances === 0 || forMs <= 0 || isShortOfMemory()) return false;
  if (!isOfUse(controller, app, instance)) return false;
  const isFrozen = await freeze(controller, instance, Date.now() + forMs);
  if (!isFrozen || !isOfUse(controller, app, instance)) {
    await thaw(controller, instance);
    return false;
  }
  instance.became("froze");
  const timer = setTimeout(() => void endFrozen(controller, [instance]), forMs).unref();
  frozen.set(instance, { app, timer });
  void instance.running.exited.then(() => forget(controller, instance));
  log.info({ app, instance: instance.id, release: instance.release }, "instance.frozen");
  void endFrozen(controller, [...frozen.keys()].slice(0, -config.warmInstances));
  watchMemory(controller);
  return true;
}

/** Somebody may have stopped the app, or gone back to this release, while it was draining. */
function isOfUse({ ending, registry }: Controller, name: string, { state, release }: Instance): boolean {
  const app = registry.known(name);
  return state === "draining" && !ending.aborted && app?.stopped === false && app.release !== release;
}

async function freeze(controller: Controller, instance: Instance, until: number): Promise<boolean> {
  try {
    await writeFile(fileOf(controller, instance), `${until}\n`, { mode: 0o600 });
    return await controller.runner.freeze(instance.running);
  } catch (error) {
    controller.log.warn({ instance: instance.key, error: (error as Error).message }, "instance.not-frozen");
    return false;
  }
}

/**
 * The instances of a release that were kept, thawed and found ready; the others of it end. None when there are none,
 * or none answers.
 */
export async function thawReady(controller: Controller, app: App, release: Release): Promise<Instance[]> {
  const wanted = new Set(wantedInstances(app, release));
  const kept = frozenOf(controller, app.name).filter((instance) => instance.release === release.number);
  const thawed = kept.filter(({ id }) => wanted.has(id));
  for (const instance of thawed) forget(controller, instance);
  void endFrozen(
    controller,
    kept.filter(({ id }) => !wanted.has(id)),
  );
  const ready = await Promise.all(
    thawed.map(async (instance) => {
      instance.became("thawed");
      try {
        await thaw(controller, instance);
        const signal = controller.ending;
        await untilReady(controller, app, release.plan.ready, instance, { signal, timeoutMs: thawedReadyMs });
        return [instance];
      } catch (error) {
        const facts = { app: app.name, instance: instance.id, error: (error as Error).message };
        controller.log.warn(facts, "instance.not-warm");
        if (instance.state === "starting") instance.became("failed");
        void retire(controller, app.name, [instance]);
        return [];
      }
    }),
  );
  return ready.flat();
}

/** Whether an instance was frozen, by this controller or an earlier one; until when, in ms since 1970. */
export async function frozenUntil(controller: Controller, instance: { key: string }): Promise<number | null> {
  const text = await readFile(fileOf(controller, instance), "utf8").catch(() => ""); // It was not.
  return /^\d{13}\n$/.test(text) ? Number(text) : null;
}

/** Goes on where it was. Also of an instance of which it is not known whether it is frozen. */
export async function thaw(
  controller: Controller,
  instance: Pick<Instance, "key" | "running">,
): Promise<void> {
  await controller.runner.thaw(instance.running);
  await rm(fileOf(controller, instance), { force: true });
}

/** The numbers of the releases of which something is frozen: their files are needed. */
export function frozenReleases(controller: Controller, app: string): number[] {
  return [...new Set(frozenOf(controller, app).map(({ release }) => release))];
}

function frozenOf({ frozen }: Controller, app: string): Instance[] {
  return [...frozen].flatMap(([instance, { app: owner }]) => (owner === app ? [instance] : []));
}

/** Whoever forgets it looks after it from here on. */
export function forget({ frozen }: Controller, instance: Instance): void {
  clearTimeout(frozen.get(instance)?.timer);
  frozen.delete(instance);
}

/** They are told to end as any instance is. What was kept for their sake goes. */
async function endFrozen(controller: Controller, instances: readonly Instance[]): Promise<void> {
  for (const instance of instances) {
    const app = controller.frozen.get(instance)?.app;
    if (app === undefined) continue;
    await retire(controller, app, [instance]);
    await controller.serializer.run(app, async () => {
      const known = controller.registry.known(app);
      if (known && !controller.ending.aborted) await sweepReleases(controller, known);
    });
  }
}

const isShortOfMemory = () => process.availableMemory() < totalmem() * memoryShare;

/** The one that was frozen first gives way, until there is enough again. */
function watchMemory(controller: Controller): void {
  controller.memoryWatch ??= setInterval(() => {
    const [first] = controller.frozen.keys();
    if (first && isShortOfMemory()) void endFrozen(controller, [first]);
    if (first) return;
    clearInterval(controller.memoryWatch);
    controller.memoryWatch = undefined;
  }, memoryCheckMs).unref();
}

const fileOf = (controller: Controller, { key }: { key: string }) =>
  join(runDirectoryOf(controller, key), instanceFiles.frozen);
