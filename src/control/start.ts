import { join } from "node:path";
import type { App } from "../app/app.ts";
import type { LaunchSpec } from "../app/instance.ts";
import { limitsFor } from "../app/limits.ts";
import { hostnameOfMount } from "../app/mount.ts";
import type { Readiness, Release } from "../app/release.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";
import { environmentOf } from "./environment.ts";
import { Instance } from "./instance.ts";
import type { PortLease } from "./ports.ts";
import { runDirectoryOf, track } from "./track.ts";

/** How often another port is tried when somebody took the first one in between. */
const portAttempts = 3;

export type StartRequest = { app: App; release: Release; id: string };

/**
 * Starts one instance of a release and waits until it is ready. When it does not become ready it is stopped, and
 * the error (`APP_NOT_READY`, `APP_EXITED`) carries its last words. Aborting the signal stops it as well.
 */
export async function startInstance(
  controller: Controller,
  request: StartRequest,
  signal: AbortSignal,
  onStarted: (instance: Instance) => void = () => {},
): Promise<Instance> {
  const wait = AbortSignal.any([signal, controller.ending]);
  const timeoutMs = controller.config.readyTimeout * 1000;
  for (let attempt = 1; ; attempt += 1) {
    wait.throwIfAborted();
    const instance = await launch(controller, request);
    onStarted(instance);
    try {
      await untilReady(controller, request.app, request.release.plan.ready, instance, {
        signal: wait,
        timeoutMs,
      });
      return instance;
    } catch (error) {
      const failure = await withLastWords(controller, request.app.name, instance, error);
      await discard(controller, instance);
      if (attempt < portAttempts && portWasTaken(failure)) continue;
      throw failure;
    }
  }
}

/** Starts an instance, which is then counted among the living of its app. */
export async function launch(controller: Controller, { app, release, id }: StartRequest): Promise<Instance> {
  const processType = id.slice(0, id.lastIndexOf("."));
  const start = release.plan.processes[processType];
  if (!start) {
    throw new MaestroError(
      "NOTHING_TO_RUN",
      `release v${release.number} of ${app.name} has no process "${processType}"`,
    );
  }
  const env = await environmentOf(controller, release);
  const lease = processType === "web" ? await controller.runner.leasePort() : null;
  try {
    const spec = { ...specify(controller, { app, release, id }, start, lease), env };
    const running = await controller.runner.launch(spec);
    const instance = new Instance(
      { running, id, release: release.number, startedAt: new Date().toISOString(), output: spec.output },
      lease,
    );
    track(controller, app.name, instance);
    const facts = {
      app: app.name,
      instance: id,
      release: release.number,
      pid: running.pid,
      port: instance.port,
    };
    controller.log.info(facts, "instance.started");
    return instance;
  } catch (error) {
    lease?.release();
    throw error;
  }
}

function specify(
  controller: Controller,
  { app, release, id }: StartRequest,
  start: LaunchSpec["start"],
  lease: PortLease | null,
): Omit<LaunchSpec, "env"> {
  const file = `${id}.v${release.number}.${controller.stamps.next()}`;
  return {
    ...placeOf(controller, { app, release, id }, `${app.name}.${file}`),
    start,
    port: lease?.port ?? null,
    output: controller.logs.outputOf(app.name, file),
  };
}

/** Where a process of a release runs, as whom, and within which bounds: an instance or a one-off program. */
export function placeOf(
  controller: Controller,
  { app, release, id }: StartRequest,
  key: string,
): Omit<LaunchSpec, "start" | "port" | "output" | "env"> {
  const { node } = release.plan;
  return {
    app: app.name,
    key,
    id,
    release: release.number,
    directory: controller.releases.directory(app.name, release.number),
    ...(node === undefined ? {} : { node: controller.releases.nodeOf(node) }),
    user: controller.runner.effectiveUser(app.user),
    storage: release.plan.storage ? storageOf(controller, app.name) : null,
    limits: limitsFor(app.limits, release.plan.limits),
    runDirectory: runDirectoryOf(controller, key),
  };
}

/** What an app keeps from one start to the next. It stays when the app is removed, unless its data goes too. */
export const storageOf = (controller: Controller, app: string): string =>
  join(controller.config.home, "apps", app, "storage");

/** Waits until an instance is ready, and notes where. One that serves no traffic is so at once. */
export async function untilReady(
  controller: Controller,
  app: App,
  readiness: Readiness,
  instance: Instance,
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number },
): Promise<void> {
  if (instance.port === null) return;
  instance.address = await controller.runner.untilReady(
    {
      instance: instance.running,
      port: instance.port,
      readiness,
      hostname: hostnameOfMount(controller.hostnames(app)[0] ?? app.name),
      timeoutMs,
      user: controller.runner.effectiveUser(app.user),
    },
    signal,
  );
}

async function withLastWords(
  controller: Controller,
  app: string,
  instance: Instance,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof MaestroError)) return error;
  const lastLines = await lastWords(controller, instance);
  const details = { ...error.details, app, instance: instance.id, release: instance.release, lastLines };
  return new MaestroError(error.code, error.message, details, { cause: error });
}

/** The last lines of an instance's output, as many as an error carries. */
export function lastWords(controller: Controller, { output }: Instance): Promise<string[]> {
  return controller.logs.lastLines(output, 20);
}

/** Ends an instance that never served; its port is free when this resolves. */
export async function discard(controller: Controller, instance: Instance): Promise<void> {
  if (instance.state === "starting") instance.became("failed");
  await controller.runner.stop(instance.running, { graceMs: controller.config.stopGrace * 1000 });
}

function portWasTaken(error: unknown): boolean {
  if (!(error instanceof MaestroError) || error.code !== "APP_EXITED") return false;
  const lines = error.details["lastLines"];
  return (
    Array.isArray(lines) && lines.some((line) => /EADDRINUSE|address already in use/i.test(String(line)))
  );
}
