import type { App } from "../app/app.ts";
import { describeExit } from "../app/instance.ts";
import type { Release } from "../app/release.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { discard, lastWords, startInstance } from "./start.ts";
import type { Steps } from "./steps.ts";
import { wantedInstances } from "./wanted.ts";

/** Instances of a release, started side by side: all that the app wants. All are ready, or none runs any more. */
export async function startAll(
  controller: Controller,
  app: App,
  release: Release,
  steps: Steps,
  ids: readonly string[] = wantedInstances(app, release),
): Promise<Instance[]> {
  if (ids.length === 0) return [];
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, steps.signal]);
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
        return await startInstance(controller, { app, release, id }, signal, onStarted);
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    }),
  );
  const ready = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  if (failure.signal.aborted) {
    await discardAll(controller, ready);
    throw failure.signal.reason;
  }
  steps.done("ready");
  return ready;
}

/** Ends instances that never served; nothing of them runs when this resolves. */
export async function discardAll(controller: Controller, instances: readonly Instance[]): Promise<void> {
  await Promise.all(instances.map((instance) => discard(controller, instance)));
}

/** A process that ended while the others became ready: a worker that finds no database, or the second of three. */
export async function refuseEnded(
  controller: Controller,
  app: string,
  fresh: readonly Instance[],
): Promise<void> {
  const ended = fresh.find(({ state }) => state === "stopped");
  if (!ended) return;
  const exit = await ended.running.exited;
  throw new MaestroError(
    "APP_EXITED",
    `${ended.id} of ${app} ${describeExit(exit)} before the app was ready`,
    {
      app,
      instance: ended.id,
      exitCode: exit.code,
      signal: exit.signal,
      lastLines: await lastWords(controller, ended),
    },
  );
}
