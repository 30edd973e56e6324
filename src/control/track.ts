import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";

export const runDirectoryOf = (controller: Controller, key: string): string =>
  join(controller.config.home, "run", "instances", key);

/** Counts an instance among the living of its app until it has ended, and then tidies up behind it. */
export function track(controller: Controller, app: string, instance: Instance): void {
  const { living, tidying } = controller.runtime(app);
  const facts = { app, instance: instance.id, release: instance.release };
  living.add(instance);
  void instance.running.exited.then(async (exit) => {
    living.delete(instance);
    controller.log.info({ ...facts, ...exit }, "instance.ended");
    const tidied = tidyUp(controller, app, instance);
    tidying.add(tidied);
    await tidied;
    tidying.delete(tidied);
  });
}

async function tidyUp(controller: Controller, app: string, instance: Instance): Promise<void> {
  try {
    await rm(runDirectoryOf(controller, instance.key), { recursive: true, force: true });
    await controller.logs.sweep(
      app,
      [...controller.runtime(app).living].map(({ output }) => output),
    );
  } catch (error) {
    controller.log.warn(
      { app, instance: instance.id, error: (error as Error).message },
      "instance.not-tidied",
    );
  }
}
