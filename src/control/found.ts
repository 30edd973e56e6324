import { rm } from "node:fs/promises";
import { join } from "node:path";
import { namesIn } from "../lib/directory.ts";
import { byStart } from "../lib/processes.ts";
import type { Controller } from "./controller.ts";
import { Instance } from "./instance.ts";
import type { AdoptedInstance, EndedInstance } from "./ports.ts";
import { track } from "./track.ts";

/** The instances of earlier controllers: those that run, the latest first, and those that have ended meanwhile. */
export type Found = { running: Set<AdoptedInstance>; ended: EndedInstance[] };

/** What earlier controllers left under run/instances/. The directories of those that have ended are removed. */
export async function findInstances(controller: Controller): Promise<Found> {
  const directory = join(controller.config.home, "run", "instances");
  const running: AdoptedInstance[] = [];
  const ended: EndedInstance[] = [];
  for (const key of await namesIn(directory)) {
    controller.stamps.seen(key.slice(key.lastIndexOf(".") + 1));
    const path = join(directory, key);
    const found = await controller.runner.adopt(path);
    if (found && "running" in found) {
      running.push(found);
      continue;
    }
    if (found) ended.push(found);
    await tidyUp(controller, path, found);
  }
  // Before anything is started: what is not among these is nobody's.
  await controller.runner.sweep(running).catch((error: Error) => {
    controller.log.warn({ error: error.message }, "instances.not-swept");
  });
  running.sort((one, other) => byStart(other.running, one.running));
  return { running: new Set(running), ended };
}

/** What hangs in the kernel and cannot be ended must not keep this controller from starting: the next one tries again. */
async function tidyUp(controller: Controller, path: string, found: EndedInstance | null): Promise<void> {
  try {
    if (found) await bury(controller, found);
    else await controller.runner.endUnrecognised(path);
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    controller.log.warn({ path, error: (error as Error).message }, "instance.not-tidied");
  }
}

/** What an instance leaves behind would hold its port, or answer in the place of its successor. */
async function bury(
  controller: Controller,
  { app, id, release, ended, leftBehind }: EndedInstance,
): Promise<void> {
  controller.log.info({ app, instance: id, release, ...ended }, "instance.ended");
  if (leftBehind) await controller.runner.stop(leftBehind, { graceMs: 0 });
}

/** From now on this controller looks after it. */
export function takeOver(controller: Controller, adopted: AdoptedInstance): Instance {
  const lease = adopted.port === null ? null : controller.runner.reservePort(adopted.port);
  const instance = new Instance(adopted, lease);
  track(controller, adopted.app, instance);
  return instance;
}
