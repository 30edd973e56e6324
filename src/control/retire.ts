import type { Config } from "../config.ts";
import { aborted } from "../lib/aborted.ts";
import type { DrainLimits, InFlight } from "../protocol/worker.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";
import { traced } from "./trace.ts";
import { forget, frozenUntil, keepWarm, thaw } from "./warm.ts";

export type RetireOptions = {
  /** How long what is under way may go on; the settings say otherwise. */
  limits?: DrainLimits;
  /** Ends all patience early. */
  hurry?: AbortSignal;
  /** Whether their app may go back to their release: those that have nothing under way any more are kept frozen. */
  mayGoBack?: () => Promise<boolean>;
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
  options: RetireOptions,
): Promise<void> {
  const facts = { app, instance: instance.id, release: instance.release };
  try {
    if (instance.state === "serving") instance.became("replaced");
    if (instance.port !== null && instance.state !== "frozen") {
      const warm = (await options.mayGoBack?.()) ?? false;
      const left = await untilDrained(controller, app, instance, options);
      controller.log.info({ ...facts, left }, "instance.drained");
      const isIdle = left?.requests === 0 && left.streams === 0;
      if (warm && isIdle && (await traced(app, "freeze", () => keepWarm(controller, app, instance)))) return;
    }
    if (instance.state === "frozen") expire(controller, instance);
    if (instance.state === "draining") instance.became("drained");
    // Also one that an earlier controller froze: what has been stopped where it is does not see a SIGTERM.
    if ((await frozenUntil(controller, instance)) !== null) await thaw(controller, instance);
    await end(controller, app, instance, options);
  } catch (error) {
    controller.log.error({ ...facts, error: (error as Error).message }, "instance.retire.failed");
  }
}

function expire(controller: Controller, instance: Instance): void {
  forget(controller, instance);
  instance.became("expired");
}

/** What is left; undefined when somebody was in a hurry. */
async function untilDrained(
  { config, traffic }: Controller,
  app: string,
  { key }: Instance,
  { limits = drainLimits(config), hurry }: RetireOptions,
): Promise<InFlight | undefined> {
  const drained = traced(app, "drain", () => traffic.drain(key, limits));
  return (await Promise.race([drained, ...(hurry ? [aborted(hurry)] : [])])) ?? undefined;
}

async function end(
  { config, runner }: Controller,
  app: string,
  { running }: Instance,
  { hurry }: RetireOptions,
): Promise<void> {
  const grace = { graceMs: config.stopGrace * 1000, ...(hurry ? { signal: hurry } : {}) };
  await traced(app, "stop", () => runner.stop(running, grace));
}

const drainLimits = ({ requestDrain, streamDrain }: Config): DrainLimits => ({
  requestsMs: requestDrain * 1000,
  streamsMs: streamDrain * 1000,
});
