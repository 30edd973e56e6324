import type { App } from "../app/app.ts";
import type { Release } from "../app/release.ts";
import type { DeployProgress, DeployReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import { type DeployRequest, HostnameClaims, inTurn, withHostnames } from "./admit.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { register } from "./register.ts";
import { urlsOf } from "./report.ts";
import { retire } from "./retire.ts";
import { discard, startInstance } from "./start.ts";
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
    const { release } = made;
    claims.add(release.plan.hostnames);
    // The disk makes the release last while the app starts: it takes about as long.
    const fresh = await startAll(controller, known, release, steps).catch((error: unknown) =>
      abandon(controller, known, made, error),
    );
    const hostnames = [...request.hostnames, ...release.plan.hostnames];
    const live = {
      ...withHostnames(known, hostnames),
      ...nextRelease(known, release),
      stopped: false,
    };
    const app = await keep(controller, live, made, fresh).catch((error: unknown) =>
      abandon(controller, known, made, error, fresh),
    );
    const replaced = await steps.run("switch", () => switchTo(controller, app, fresh));

    void afterwards(controller, app, replaced);
    const tookMs = Math.round(performance.now() - began);
    controller.log.info({ app: app.name, release: app.release, tookMs, by: request.by }, "app.restarted");
    return report(controller, app, release, fresh, tookMs);
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

/** Every instance that the app wants, started side by side. All are ready, or none runs any more. */
async function startAll(
  controller: Controller,
  app: App,
  release: Release,
  steps: Steps,
): Promise<Instance[]> {
  const ids = wantedInstances(app, release);
  const failure = new AbortController();
  let started = 0;
  steps.began("start");
  const onStarted = () => {
    started += 1;
    if (started < ids.length) return;
    steps.done("start", ids.join(", "));
    steps.began("ready");
  };
  const outcomes = await Promise.allSettled(
    ids.map(async (id) => {
      try {
        return await startInstance(controller, { app, release, id }, failure.signal, onStarted);
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    }),
  );
  const ready = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  if (failure.signal.aborted) {
    await Promise.all(ready.map((instance) => discard(controller, instance)));
    throw failure.signal.reason;
  }
  steps.done("ready");
  return ready;
}

/** "web.1", "web.2", "worker.1": one of each process type unless the app's scale or its formation says otherwise. */
export function wantedInstances(app: App, release: Release): string[] {
  const types = Object.keys(release.plan.processes).filter((type) => type !== "release");
  return types.flatMap((type) => {
    const count = app.scale[type] ?? release.plan.formation[type] ?? 1;
    return Array.from({ length: count }, (_, index) => `${type}.${index + 1}`);
  });
}

function nextRelease({ release, previousRelease }: App, { number }: Release) {
  return { release: number, previousRelease: release === number ? previousRelease : release };
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

/** A process that ended while the others became ready: a worker that finds no database, or the second of three. */
async function refuseEnded(controller: Controller, app: string, fresh: readonly Instance[]): Promise<void> {
  const ended = fresh.find(({ state }) => state === "stopped");
  if (!ended) return;
  const { code, signal } = await ended.running.exited;
  const how = signal ? `was ended by ${signal}` : `exited with code ${code ?? "unknown"}`;
  throw new MaestroError("APP_EXITED", `${ended.id} of ${app} ${how} before the app was ready`, {
    app,
    instance: ended.id,
    exitCode: code,
    signal,
    lastLines: await controller.runner.lastLines(ended.output, 20),
  });
}

/** Undoes what a deploy that fails has begun: nothing of it runs, and its release does not pile up. */
async function abandon(
  controller: Controller,
  app: App,
  { stored }: MadeRelease,
  error: unknown,
  fresh: readonly Instance[] = [],
): Promise<never> {
  await Promise.all(fresh.map((instance) => discard(controller, instance)));
  await Promise.allSettled([stored]);
  await sweepReleases(controller, app);
  throw error;
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
  await retire(controller, app.name, replaced);
  await sweepReleases(controller, app);
}

/** Also when a start failed: the releases of deploys that failed must not pile up. */
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

/** Tells a caller which step began and which is done, with the time that it took. */
class Steps {
  readonly #tell: (progress: DeployProgress) => void;
  readonly #began = new Map<DeployProgress["step"], number>();

  constructor(tell: ((progress: DeployProgress) => void) | undefined) {
    this.#tell = tell ?? (() => {});
  }

  began(step: DeployProgress["step"]): void {
    this.#began.set(step, performance.now());
    this.#tell({ step, state: "began" });
  }

  done(step: DeployProgress["step"], detail?: string): void {
    const tookMs = Math.round(performance.now() - (this.#began.get(step) ?? performance.now()));
    this.#tell({ step, state: "done", tookMs, ...(detail === undefined ? {} : { detail }) });
  }

  async run<T>(
    step: DeployProgress["step"],
    work: () => Promise<T>,
    describe?: (result: T) => string,
  ): Promise<T> {
    this.began(step);
    const result = await work();
    this.done(step, describe?.(result));
    return result;
  }
}
