import type { App, Count } from "../app/app.ts";
import type { Release } from "../app/release.ts";
import type { ScaleReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import { inTurn, type TurnRequest } from "./admit.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";
import type { Instance } from "./instance.ts";
import { retire } from "./retire.ts";
import { discardAll, refuseEnded, startAll } from "./start-all.ts";
import { Steps } from "./steps.ts";
import { enterService } from "./supervise.ts";
import { ownCount, processTypes, wantedCount, wantedInstances } from "./wanted.ts";

type Counts = Readonly<Record<string, Count>>;

/** How many processes of each type the app has, and how many it wants. Throws `APP_NOT_FOUND`. */
export async function reportScale(controller: Controller, name: string): Promise<ScaleReport> {
  const app = controller.registry.get(name);
  if (app.release === null) return { app: name, processes: [] };
  return report(controller, app, await controller.releases.get(name, app.release));
}

/**
 * So many processes of a type as are asked for: those that are missing are started and ready before anything is
 * decided; those that are too many get no new requests, finish, and stop. The others are not touched. It is remembered
 * for every release to come.
 *
 * Throws `BAD_INPUT` for a type that the app does not have, `BUSY`, `APP_NOT_FOUND`, `APP_NOT_READY`, `APP_EXITED`.
 */
export async function scale(
  controller: Controller,
  request: TurnRequest,
  counts: Counts,
): Promise<ScaleReport> {
  controller.registry.get(request.app);
  return inTurn(controller, request, "scale", async (deploy) => {
    const steps = new Steps(deploy, request.onProgress);
    const { app, release } = await steps.run("check", () => check(controller, request.app, counts));
    const scaled: App = { ...app, scale: { ...app.scale, ...counts } };
    if (app.stopped) return report(controller, await controller.registry.save(scaled), release);

    await deploy.written(); // Whatever the next controller may find half-done has a record.
    const fresh = await startMissing(controller, scaled, release, steps);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => discardAll(controller, fresh));
    const saved = await decide(controller, scaled, deploy, fresh);
    undo.move(); // From here on nothing is undone.

    const surplus = await steps.run("switch", () => switchTo(controller, saved, release, fresh));
    void retire(controller, app.name, surplus);
    controller.log.info({ app: app.name, scale: saved.scale, by: request.by }, "app.scaled");
    return report(controller, saved, release);
  });
}

async function check(
  controller: Controller,
  name: string,
  counts: Counts,
): Promise<{ app: App; release: Release }> {
  const app = controller.registry.get(name);
  if (app.release === null) {
    throw new MaestroError("BAD_INPUT", `${name} has no release yet; deploy it, then scale it`, {
      app: name,
    });
  }
  const release = await controller.releases.get(name, app.release);
  const types = processTypes(release);
  for (const type of Object.keys(counts)) if (!types.includes(type)) throw unknownType(name, type, types);
  return { app, release };
}

function unknownType(app: string, type: string, types: string[]): MaestroError {
  const what =
    type === "release" ? "the release process runs once for each release" : `${app} has no process "${type}"`;
  const message = `${what}; what can be scaled is: ${types.join(", ")}`;
  return new MaestroError("BAD_INPUT", message, { app, process: type, processes: types });
}

/** One that has died is being started again by itself. */
function startMissing(controller: Controller, app: App, release: Release, steps: Steps): Promise<Instance[]> {
  const { serving, revivals } = controller.runtime(app.name);
  const ids = wantedInstances(app, release).filter((id) => !serving.has(id) && !revivals.has(id));
  return startAll(controller, app, release, steps, ids);
}

async function decide(
  controller: Controller,
  app: App,
  deploy: Deploy,
  fresh: readonly Instance[],
): Promise<App> {
  controller.ending.throwIfAborted();
  deploy.decide();
  await refuseEnded(controller, app.name, fresh);
  return controller.registry.save({ ...app, deploy: deploy.id });
}

/** Answers those that are too many; they get no new requests any more. */
async function switchTo(
  controller: Controller,
  app: App,
  release: Release,
  fresh: readonly Instance[],
): Promise<Instance[]> {
  const { serving, revivals } = controller.runtime(app.name);
  const wanted = new Set(wantedInstances(app, release));
  for (const instance of fresh) enterService(controller, app, instance);
  const surplus = [...serving.values()].filter(({ id }) => !wanted.has(id));
  for (const { id } of surplus) serving.delete(id);
  for (const [id, revival] of revivals) {
    if (wanted.has(id)) continue;
    revival.abort();
    revivals.delete(id);
  }
  await controller.publish(app);
  return surplus;
}

function report(controller: Controller, app: App, release: Release): ScaleReport {
  const serving = [...controller.runtime(app.name).serving.values()];
  return {
    app: app.name,
    processes: processTypes(release).map((type) => ({
      process: type,
      wanted: app.stopped ? 0 : wantedCount(app, release, type),
      serving: serving.filter(({ processType }) => processType === type).length,
      setting: ownCount(app.scale, type) ?? null,
    })),
  };
}
