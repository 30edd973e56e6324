import type { App } from "../app/app.ts";
import { proxySettingsOf, type Release } from "../app/release.ts";
import type { DeployReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import { type DeployRequest, HostnameClaims, inTurn, withHostnames } from "./admit.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";
import type { Instance } from "./instance.ts";
import { makeRelease } from "./new-release.ts";
import type { MadeRelease } from "./ports.ts";
import { register } from "./register.ts";
import { runReleaseProcess } from "./release-process.ts";
import { urlsOf } from "./report.ts";
import { retire } from "./retire.ts";
import { beginRevival, revive } from "./revive.ts";
import { discardAll, refuseEnded, startAll } from "./start-all.ts";
import { Steps } from "./steps.ts";
import { enterService } from "./supervise.ts";
import { tidyReleases } from "./tidy.ts";
import { traced } from "./trace.ts";
import { wantedInstances } from "./wanted.ts";

/**
 * New code behind an app's hostnames, and nobody notices.
 *
 * Throws `BUSY`, `APP_NOT_FOUND`, `HOSTNAME_TAKEN`, `NOTHING_TO_RUN`, `BAD_INPUT`, `BUILD_FAILED`, `APP_NOT_READY`,
 * `APP_EXITED`.
 */
export async function restart(controller: Controller, request: DeployRequest): Promise<DeployReport> {
  return inTurn(controller, request, "deploy", (deploy) =>
    goLive(controller, request, deploy, {
      choose: (app, steps) => makeRelease(controller, app, deploy, steps),
    }),
  );
}

/** What differs between the ways in which a release gets live. */
export type Way = {
  /** The release. A fresh one is gone again when it does not get live. */
  choose(app: App, steps: Steps): Promise<MadeRelease>;
  /** Its instances, ready for traffic; one at least of those that are wanted. Default: all are started. */
  start?(app: App, release: Release, steps: Steps): Promise<Instance[]>;
};

/**
 * A release behind an app's hostnames: release → prepare → start → ready → switch. Then, after the reply, the old instances drain
 * and stop. When anything before the switch fails, the fresh instances are stopped and the old ones were never touched.
 */
export async function goLive(
  controller: Controller,
  request: DeployRequest,
  deploy: Deploy,
  { choose, start = (...what) => startAll(controller, ...what) }: Way,
): Promise<DeployReport> {
  const steps = new Steps(deploy, request.onProgress);
  const began = performance.now();

  using claims = new HostnameClaims(controller, request.app, request);
  const known = await steps.run("check", () => check(controller, request, claims));
  const made = await steps.run("release", () => choose(known, steps), describeRelease);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => dropRelease(controller, known, made));

  const { plan } = made.release;
  claims.add(plan.hostnames);
  if (made.fresh) await runReleaseProcess(controller, known, made.release, steps);
  // The disk makes the release last while the app starts: it takes about as long.
  const fresh = await start(known, made.release, steps);
  undo.defer(() => discardAll(controller, fresh));

  const asked = withHostnames(known, request.hostnames);
  const named = withHostnames(asked, plan.hostnames, plan.stripped ?? []);
  const app = await keep(controller, withRelease(named, made.release, deploy), deploy, made, fresh);
  undo.move(); // From here on nothing is undone.
  const replaced = await steps.run("switch", () => switchTo(controller, app, fresh));

  startMissing(controller, app, made.release);
  void afterwards(controller, app, replaced);
  const tookMs = Math.round(performance.now() - began);
  controller.log.info({ app: app.name, release: app.release, tookMs, by: request.by }, "app.restarted");
  return report(controller, app, made, fresh, tookMs);
}

async function check(controller: Controller, request: DeployRequest, claims: HostnameClaims): Promise<App> {
  claims.add(request.hostnames);
  const app = await register(controller, request.app, { mustHaveCode: true });
  claims.add(controller.hostnames(withHostnames(app, request.hostnames)));
  return app;
}

const describeRelease = ({ release, fresh }: MadeRelease) =>
  `v${release.number} from ${release.plan.source}${fresh ? "" : ", unchanged"}`;

function withRelease(app: App, { number, plan, config = null }: Release, { id: deploy }: Deploy): App {
  const previousRelease = app.release === number ? app.previousRelease : app.release;
  const served = servedWith(app, number).slice(-mostServed);
  const proxy = proxySettingsOf(plan);
  return { ...app, release: number, previousRelease, served, config, deploy, proxy, stopped: false };
}

/** The latest last. Those that are gone back from stand first: nobody wants them back by going back once more. */
function servedWith({ release, served }: App, number: number): number[] {
  const others = served.filter((other) => other !== number);
  if (release === null || number >= release) return [...others, number];
  const since = served.indexOf(number);
  const left = others.filter((other) => served.indexOf(other) > since);
  return [...left, ...others.filter((other) => !left.includes(other)), number];
}

/** Retention keeps fewer. */
const mostServed = 100;

/**
 * What is wanted is on disk, its release and the registry, before traffic goes there. The registry is where a deploy is
 * decided: were Maestro to end before, the next controller would undo it, and afterwards finish it.
 */
async function keep(
  controller: Controller,
  app: App,
  deploy: Deploy,
  { stored }: MadeRelease,
  fresh: readonly Instance[],
): Promise<App> {
  await traced(app.name, "store", () => stored);
  controller.ending.throwIfAborted();
  deploy.decide();
  await refuseEnded(controller, app.name, fresh);
  try {
    return await traced(app.name, "save", () => controller.registry.save(app));
  } catch (error) {
    const message = `the registry could not be written (${(error as Error).message}); ${app.name} goes on as it was`;
    throw new MaestroError("INTERNAL", message, { app: app.name }, { cause: error });
  }
}

/** A release that has never served is of no use: the code is still where it was sent. */
async function dropRelease(controller: Controller, app: App, { stored }: MadeRelease): Promise<void> {
  await Promise.allSettled([stored]); // It may be what failed.
  await tidyReleases(controller, app);
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

/** What is wanted besides those that have been started is started now, and until it serves. */
function startMissing(controller: Controller, app: App, release: Release): void {
  const runtime = controller.runtime(app.name);
  for (const id of wantedInstances(app, release)) {
    if (runtime.serving.has(id) || runtime.revivals.has(id)) continue;
    void revive(controller, app.name, id, beginRevival(runtime, id));
  }
}

/** Whether an app may go back to what was replaced: it is another release, and lets itself be frozen. */
async function mayGoBack(
  { releases, config }: Controller,
  app: App,
  replaced: readonly Instance[],
): Promise<boolean> {
  const before = replaced[0]?.release;
  if (config.warm === 0 || before === undefined || before === app.release) return false;
  const release = await releases.get(app.name, before).catch(() => null); // Then there is nothing to go back to.
  return release !== null && release.plan.warm !== false;
}

async function afterwards(controller: Controller, app: App, replaced: Instance[]): Promise<void> {
  const retired = retire(controller, app.name, replaced, {
    mayGoBack: () => mayGoBack(controller, app, replaced),
  });
  await controller.serializer.run(app.name, () => tidyReleases(controller, app));
  await retired;
  controller.log.info({ app: app.name, release: app.release }, "app.settled");
}

function report(
  controller: Controller,
  app: App,
  { release, notes = [] }: MadeRelease,
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
    notes: [...notes, ...release.plan.notes],
  };
}
