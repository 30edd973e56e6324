import type { App } from "../app/app.ts";
import type { Controller } from "./controller.ts";
import { traced } from "./trace.ts";

/** How often releases are looked through for those that have become too old, ms. */
const everyMs = 24 * 60 * 60 * 1000;

/** After a deploy: what retention does not keep goes, and the tree of the next release is made ahead. */
export async function tidyReleases(controller: Controller, app: App): Promise<void> {
  await traced(app.name, "sweep", () => sweepReleases(controller, app));
  if (controller.ending.aborted || !controller.registry.known(app.name)) return;
  try {
    await traced(app.name, "stage", () => controller.releases.stage(app.name));
  } catch (error) {
    // The next release is then made anew: nothing is lost but time.
    controller.log.warn({ app: app.name, error: (error as Error).message }, "release.stage.failed");
  }
}

/**
 * Removes what retention does not keep, and what deploys that failed have made. Only in the app's turn: another deploy
 * may be making a release.
 */
export async function sweepReleases(controller: Controller, app: App): Promise<void> {
  const { name, release, previousRelease, served } = app;
  try {
    const { living, runs } = controller.runtime(name);
    const inUse = [...living, ...runs].map((running) => running.release);
    await controller.releases.sweep(name, { current: release, previous: previousRelease, served, inUse });
    await sweepConfigs(controller, app);
  } catch (error) {
    controller.log.warn({ app: name, error: (error as Error).message }, "release.sweep.failed");
  }
}

/** A version of the config stays as long as a release has it, or the next one will. */
async function sweepConfigs({ configs, releases }: Controller, { name, config }: App): Promise<void> {
  const kept = new Set(config === null ? [] : [config]);
  for (const release of await releases.list(name)) {
    if ("problem" in release) return; // Nobody knows which one it has.
    if (release.config) kept.add(release.config);
  }
  await configs.sweep(name, kept);
}

/** Now and once a day: releases grow old also where nobody deploys. Resolves after the first time. */
export async function sweepDaily(controller: Controller): Promise<void> {
  setInterval(() => void sweepAll(controller), everyMs).unref();
  await sweepAll(controller);
}

async function sweepAll(controller: Controller): Promise<void> {
  const names = controller.registry.all().map(({ name }) => name);
  await Promise.all(
    names.map((name) =>
      controller.serializer.run(name, async () => {
        const app = controller.registry.known(name);
        if (app && !controller.ending.aborted) await sweepReleases(controller, app);
      }),
    ),
  );
}
