import type { Config } from "../config.ts";
import { aborted } from "../lib/aborted.ts";
import type { DrainLimits } from "../protocol/worker.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { traced } from "./trace.ts";

export type RetireOptions = {
  /** How long what is under way may go on; the settings say otherwise. */
  limits?: DrainLimits;
  /** Ends all patience early. */
  hurry?: AbortSignal;
};

/**
 * Lets instances that no longer get new requests finish what they had begun, then stops them.
 * Never rejects: what goes wrong with one is logged, and the others go on.
 */
export async function retire(
  controller: Controller,
  app: string,
  instances: Iterable<Instance>,
  options: RetireOptions = {},
): Promise<void> {
  await Promise.all([...instances].map((instance) => retireOne(controller, app, instance, options)));
}

async function retireOne(
  controller: Controller,
  app: string,
  instance: Instance,
  { limits, hurry }: RetireOptions,
): Promise<void> {
  const { config, log, runner, traffic } = controller;
  const facts = { app, instance: instance.id, release: instance.release };
  try {
    if (instance.state === "serving") instance.became("replaced");
    if (instance.port !== null) {
      const drained = traced(app, "drain", () => traffic.drain(instance.key, limits ?? drainLimits(config)));
      const left = await Promise.race([drained, ...(hurry ? [aborted(hurry)] : [])]);
      log.info({ ...facts, left }, "instance.drained");
    }
    if (instance.state === "draining") instance.became("drained");
    const grace = { graceMs: config.stopGrace * 1000, ...(hurry ? { signal: hurry } : {}) };
    await traced(app, "stop", () => runner.stop(instance.running, grace));
  } catch (error) {
    log.error({ ...facts, error: (error as Error).message }, "instance.retire.failed");
  }
}

const drainLimits = ({ requestDrain, streamDrain }: Config): DrainLimits => ({
  requestsMs: requestDrain * 1000,
  streamsMs: streamDrain * 1000,
});
