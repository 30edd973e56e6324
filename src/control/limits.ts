import type { Limits, LimitsChange } from "../app/limits.ts";
import { changeLimits, limitsFor } from "../app/limits.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";

/** What each instance of an app may use, by what was set and by what its release asks for. */
export async function limitsOf(controller: Controller, name: string): Promise<Limits> {
  const app = controller.registry.get(name);
  const release = app.release === null ? null : await controller.releases.get(name, app.release);
  return limitsFor(app.limits, release?.plan.limits ?? {});
}

/**
 * Sets limits of an app, for the instances that run and for those to come. Throws `BAD_INPUT` when one that runs uses
 * more than it would be allowed; then nothing is changed.
 */
export async function setLimits(controller: Controller, name: string, change: LimitsChange): Promise<Limits> {
  return controller.serializer.run(name, async () => {
    const before = await limitsOf(controller, name);
    const after = changeLimits(before, change);
    limitLiving(controller, name, before, after);
    const app = controller.registry.get(name);
    await controller.registry.save({ ...app, limits: { ...app.limits, ...change } });
    return after;
  });
}

function limitLiving(controller: Controller, name: string, before: Limits, after: Limits): void {
  const living = [...controller.runtime(name).living];
  try {
    for (const { running } of living) controller.runner.limit(running, after);
  } catch (error) {
    for (const { running } of living) controller.runner.limit(running, before);
    if (!(error instanceof MaestroError)) throw error;
    throw new MaestroError(error.code, error.message, { ...error.details, app: name }, { cause: error });
  }
}
