import type { App } from "../app/app.ts";
import type { Release } from "../app/release.ts";
import type { DeployReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import { type DeployRequest, HostnameClaims, inTurn, withHostnames } from "./admit.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { register } from "./register.ts";
import { urlsOf } from "./report.ts";
import { retire } from "./retire.ts";
import { discardAll, refuseEnded, startAll } from "./start-all.ts";
import { Steps } from "./steps.ts";
import { enterService } from "./supervise.ts";

/**
 * New code behind an app's hostnames, and nobody notices: release → start → ready → switch. Then, after the reply,
 * the old instances drain and stop. When anything before the switch fails, the fresh instances are stopped and
 * the old ones were never touched.
 *
 * Throws `BUSY`, `APP_NOT_FOUND`, `HOSTNAME_TAKEN`, `NOTHING_TO_RUN`, `BAD_INPUT`, `APP_NOT_READY`, `APP_EXITED`.
 */
export async function restart(controller: Controller, request: DeployRequest): Promise<DeployReport> {
  return inTurn(controller, request, async () => {
    const steps = new Steps(request.onProgress);
    const began = performance.now();

    using claims = new HostnameClaims(controller, request.app);
    const known = await steps.run("check", () => check(controller, request, claims));
    const made = await steps.run("release", () => makeRelease(controller, known), describeRelease);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => dropRelease(controller, known, made));

    const { plan } = made.release;
    claims.add(plan.hostnames);
    // The disk makes the release last while the app starts: it takes about as long.
    const fresh = await startAll(controller, known, made.release, steps);
    undo.defer(() => discardAll(controller, fresh));

    const wanted = withRelease(withHostnames(known, [...request.hostnames, ...plan.hostnames]), made.release);
    const app = await keep(controller, wanted, made, fresh);
    undo.move(); // From here on nothing is undone.
    const replaced = await steps.run("switch", () => switchTo(controller, app, fresh));

    void afterwards(controller, app, replaced);
    const tookMs = Math.round(performance.now() - began);
    controller.log.info({ app: app.name, release: app.release, tookMs, by: request.by }, "app.restarted");
    return report(controller, app, made.release, fresh, tookMs);
  });
}

async function check(controller: Controller, request: DeployRequest, claims: HostnameClaims): Promise<App> {
  claims.add(request.hostnames);
  const app = await register(controller, request.app, { mustHaveCode: true });
  claims.add(controller.hostnames(withHostnames(app, request.hostnames)));
  return app;
}

type MadeRelease = Awaited<ReturnType<Controller["releases"]["make"]>>;

const describeRelease = ({ release, fresh }: MadeRelease) =>
  `v${release.number} from ${release.plan.source}${fresh ? "" : ", unchanged"}`;

function makeRelease(controller: Controller, app: App): Promise<MadeRelease> {
  return controller.releases.make({ app: app.name, gid: app.user?.gid ?? null, latest: app.release });
}

function withRelease(app: App, { number }: Release): App {
  const previousRelease = app.release === number ? app.previousRelease : app.release;
  return { ...app, release: number, previousRelease, stopped: false };
}

/** What is wanted is on disk, its release and the registry, before traffic goes there. */
async function keep(
  controller: Controller,
  app: App,
  { stored }: MadeRelease,
  fresh: readonly Instance[],
): Promise<App> {
  await stored;
  controller.ending.throwIfAborted();
  await refuseEnded(controller, app.name, fresh);
  try {
    return await controller.registry.save(app);
  } catch (error) {
    const message = `the registry could not be written (${(error as Error).message}); ${app.name} goes on as it was`;
    throw new MaestroError("INTERNAL", message, { app: app.name }, { cause: error });
  }
}

/** The release of a deploy that failed must not pile up with others. */
async function dropRelease(
  controller: Controller,
  app: App,
  { stored, release }: MadeRelease,
): Promise<void> {
  await Promise.allSettled([stored]); // It may be what failed.
  await sweepReleases(controller, { ...app, release: app.release ?? release.number });
}

/** From here on new requests go to the fresh instances. Answers those that they replace. */
async function switchTo(controller: Controller, app: App, fresh: readonly Instance[]): Promise<Instance[]> {
  const runtime = controller.runtime(app.name);
  runtime.giveUpRevivals();
  runtime.deaths.clear();
  runtime.problem = null;
  const replaced = [...runtime.serving.values()];
  runtime.serving.clear();
  for (const instance of fresh) enterService(controller, app, instance);
  await controller.publish(app);
  return replaced;
}

async function afterwards(controller: Controller, app: App, replaced: Instance[]): Promise<void> {
  const retired = retire(controller, app.name, replaced);
  await controller.serializer.run(app.name, () => tidyReleases(controller, app));
  await retired;
  controller.log.info({ app: app.name, release: app.release }, "app.settled");
}

async function tidyReleases(controller: Controller, app: App): Promise<void> {
  await sweepReleases(controller, app);
  if (controller.ending.aborted || controller.registry.all().every(({ name }) => name !== app.name)) return;
  try {
    await controller.releases.stage(app.name);
  } catch (error) {
    // The next release is then made anew: nothing is lost but time.
    controller.log.warn({ app: app.name, error: (error as Error).message }, "release.stage.failed");
  }
}

async function sweepReleases(controller: Controller, app: App): Promise<void> {
  if (app.release === null) return;
  try {
    await controller.releases.sweep(app.name, { current: app.release, previous: app.previousRelease });
  } catch (error) {
    controller.log.warn({ app: app.name, error: (error as Error).message }, "release.sweep.failed");
  }
}

function report(
  controller: Controller,
  app: App,
  release: Release,
  fresh: Instance[],
  tookMs: number,
): DeployReport {
  return {
    app: app.name,
    hostnames: [...controller.hostnames(app)],
    release: release.number,
    instances: fresh.map(({ id, port, running }) => ({ id, port, pid: running.pid })),
    tookMs,
    urls: urlsOf(controller, app),
    notes: release.plan.notes,
  };
}
