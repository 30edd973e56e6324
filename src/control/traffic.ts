import type { App } from "../app/app.ts";
import { type AppTraffic, addTraffic, noTraffic, percentile, type TrafficReport } from "../app/traffic.ts";
import type { WorkerStatus } from "../protocol/worker.ts";
import type { Controller } from "./controller.ts";

/** What the workers that run have done for each app, or for one. Throws `APP_NOT_FOUND`. */
export function reportTraffic(controller: Controller, workers: WorkerStatus[], only?: string): TrafficReport {
  const apps = only === undefined ? controller.registry.all() : [controller.registry.get(only)];
  return {
    at: new Date().toISOString(),
    workers: workers.length,
    apps: apps.map((app) => reportApp(controller, workers, app)),
  };
}

function reportApp(controller: Controller, workers: WorkerStatus[], { name }: App): AppTraffic {
  const { living, serving } = controller.runtime(name);
  const counts = workers
    .map(({ traffic }) => (Object.hasOwn(traffic, name) ? traffic[name] : undefined))
    .reduce((sum, more) => (more ? addTraffic(sum ?? noTraffic, more) : sum), noTraffic);
  const inFlight = { requests: 0, streams: 0 };
  for (const worker of workers) {
    for (const { key } of living) {
      inFlight.requests += worker.inFlight[key]?.requests ?? 0;
      inFlight.streams += worker.inFlight[key]?.streams ?? 0;
    }
  }
  const { histogram } = counts ?? noTraffic;
  const latencyMs = { p50: percentile(histogram, 0.5), p99: percentile(histogram, 0.99) };
  return { app: name, instances: serving.size, inFlight, latencyMs, ...(counts ?? noTraffic) };
}
