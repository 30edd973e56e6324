import type { App } from "../app/app.ts";
import type { Controller } from "./controller.ts";
import type { Instance } from "./instance.ts";

/**
 * Lets instances that no longer get new requests finish what they had begun, then stops them.
 * Never rejects: what goes wrong with one is logged, and the others go on.
 */
export async function retire(controller: Controller, app: App, instances: Iterable<Instance>): Promise<void> {
  await Promise.all([...instances].map((instance) => retireOne(controller, app, instance)));
}

async function retireOne(controller: Controller, app: App, instance: Instance): Promise<void> {
  const { config, log, runner, traffic } = controller;
  const facts = { app: app.name, instance: instance.id, release: instance.release };
  try {
    if (instance.state === "serving") instance.became("replaced");
    if (instance.address) {
      const left = await traffic.drain(instance.key, {
        requestsMs: config.requestDrain * 1000,
        streamsMs: config.streamDrain * 1000,
      });
      log.info({ ...facts, left }, "instance.drained");
    }
    if (instance.state === "draining") instance.became("drained");
    await runner.stop(instance.running, { graceMs: config.stopGrace * 1000 });
  } catch (error) {
    log.error({ ...facts, error: (error as Error).message }, "instance.retire.failed");
  }
}
