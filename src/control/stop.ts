import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { App } from "../app/app.ts";
import type { Controller } from "./controller.ts";
import { type RetireOptions, retire } from "./retire.ts";
import { endRuns } from "./run.ts";

/** Stops an app until it is restarted: no new requests, what is under way drains, then its processes end. */
export async function stopApp(controller: Controller, name: string): Promise<void> {
  await controller.serializer.run(name, async () => {
    const app = await controller.registry.save({ ...controller.registry.get(name), stopped: true });
    await withdraw(controller, app, `${name} was stopped`);
  });
}

/** Stops an app and forgets it, with its releases and what was sent for it. Answers what was removed, in words. */
export async function removeApp(
  controller: Controller,
  name: string,
  { data }: { data: boolean },
): Promise<string[]> {
  return controller.serializer.run(name, async () => {
    const app = controller.registry.get(name);
    await withdraw(controller, app, `${name} was removed`);
    await controller.traffic.apply({ replace: false, put: [], remove: [name] });
    await controller.registry.remove(name);
    // Again: one may have begun before the app was forgotten, and would run in what goes now.
    await endRuns(controller, name, { reason: `${name} was removed`, graceMs: 0 });
    await controller.releases.removeApp(name);
    await controller.configs.forget(name);
    await controller.history.forget(name);
    controller.forget(name);
    controller.nameHosts();
    const removed = ["its processes", "its hostnames", "its releases", "its config"];
    const logs = join(controller.config.home, "apps", name);
    if (!data) return removed;
    // Again, since the log keeper may have written there at this very moment.
    await rm(logs, { recursive: true, force: true, maxRetries: 5 });
    const hadDatabase = await controller.databases.remove(name);
    return [...removed, "its logs", ...(hadDatabase ? ["its database"] : [])];
  });
}

/** Ends every instance of every app, for an end of all of Maestro. What is wanted stays as it is on disk. */
export async function stopEverything(controller: Controller, options: RetireOptions): Promise<void> {
  controller.beginEnding();
  // In its turn: a deploy that is under way has to give up first, or what it starts would stay behind.
  await Promise.all(
    controller.names().map((name) =>
      controller.serializer.run(name, async () => {
        const app = controller.registry.known(name);
        if (app) await withdraw(controller, app, "Maestro was ended", options);
        else await retire(controller, name, controller.runtime(name).living, options);
        await Promise.all(controller.runtime(name).tidying);
      }),
    ),
  );
}

async function withdraw(
  controller: Controller,
  app: App,
  reason: string,
  options: RetireOptions = {},
): Promise<void> {
  const runtime = controller.runtime(app.name);
  runtime.giveUpRevivals();
  runtime.problem = null;
  runtime.serving.clear();
  await controller.publish(app);
  const graceMs = controller.config.stopGrace * 1000;
  await Promise.all([
    retire(controller, app.name, runtime.living, options),
    endRuns(controller, app.name, { reason, graceMs, ...(options.hurry ? { hurry: options.hurry } : {}) }),
  ]);
}
