import type { App } from "../app/app.ts";
import { describeExit, type Exit } from "../app/instance.ts";
import type { Release } from "../app/release.ts";
import { MaestroError } from "../errors.ts";
import { aborted } from "../lib/aborted.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { discard, lastWords, launch } from "./start.ts";
import type { Steps } from "./steps.ts";

/** More lines than this are not told to whoever waits; all of them are in the log. */
const mostLines = 1000;

/**
 * Runs the `release` process of a Procfile, to its end, before anything of the release is started: what migrates a
 * database, for example. Its output is told as it comes. Throws `BUILD_FAILED` when it fails or takes too long; when
 * this throws, nothing of it runs any more.
 */
export async function runReleaseProcess(
  controller: Controller,
  app: App,
  release: Release,
  steps: Steps,
): Promise<void> {
  if (!Object.hasOwn(release.plan.processes, "release")) return;
  await steps.run("prepare", async () => {
    controller.ending.throwIfAborted();
    const instance = await launch(controller, { app, release, id: "release.1" });
    const told = tellOutput(controller, instance, steps);
    try {
      const exit = await untilEnded(controller, instance, steps.signal);
      if (exit?.code !== 0) throw await failure(controller, app, instance, exit);
    } finally {
      // Also what it has left behind: it has no business beside what is going to serve.
      await discard(controller, instance);
      await told;
    }
  });
}

async function tellOutput({ logs, log }: Controller, instance: Instance, steps: Steps): Promise<void> {
  let count = 0;
  const tell = (text: string): void => {
    count += 1;
    if (count <= mostLines) steps.output("prepare", text);
    if (count === mostLines) steps.output("prepare", "… (there is more in the log)");
  };
  try {
    await logs.followOutput(instance.output, tell, instance.running.exited);
  } catch (error) {
    log.warn({ instance: instance.key, error: (error as Error).message }, "release-process.output-untold");
  }
}

/** Null when its time is over. Throws when Maestro ends, and when the deploy is cancelled. */
async function untilEnded(
  { config, ending }: Controller,
  { running }: Instance,
  cancelled: AbortSignal,
): Promise<Exit | null> {
  const timeout = AbortSignal.timeout(config.releaseTimeout * 1000);
  const exit = await Promise.race([running.exited, aborted(AbortSignal.any([timeout, ending, cancelled]))]);
  ending.throwIfAborted();
  cancelled.throwIfAborted();
  return exit ?? null;
}

async function failure(
  controller: Controller,
  app: App,
  instance: Instance,
  exit: Exit | null,
): Promise<MaestroError> {
  const limit = controller.config.releaseTimeout;
  const what = exit
    ? describeExit(exit)
    : `did not end within ${limit} s (--release-timeout) and is being ended`;
  const { code: exitCode, signal } = exit ?? { code: null, signal: null };
  return new MaestroError(
    "BUILD_FAILED",
    `the release process of ${app.name} ${what}; v${instance.release} was not put live`,
    {
      app: app.name,
      process: "release",
      release: instance.release,
      exitCode,
      signal,
      lastLines: await lastWords(controller, instance),
    },
  );
}
