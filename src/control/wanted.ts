import { availableParallelism } from "node:os";
import type { App, Count } from "../app/app.ts";
import type { Release } from "../app/release.ts";

/** The types of process that are kept running; `release` is run once and ends. */
export function processTypes({ plan }: Release): string[] {
  return Object.keys(plan.processes).filter((type) => type !== "release");
}

/** How many of a type are wanted: one, unless the app's scale or its formation says otherwise. */
export function wantedCount({ scale }: App, { plan }: Release, type: string): number {
  const setting = ownCount(scale, type) ?? ownCount(plan.formation, type) ?? 1;
  return setting === "auto" ? availableParallelism() + 1 : setting;
}

/** What comes from outside may be named like what every object has. */
export const ownCount = <C extends Count>(
  counts: Readonly<Record<string, C>>,
  type: string,
): C | undefined => (Object.hasOwn(counts, type) ? counts[type] : undefined);

/** "web.1", "web.2", "worker.1" */
export function wantedInstances(app: App, release: Release): string[] {
  return processTypes(release).flatMap((type) =>
    Array.from({ length: wantedCount(app, release, type) }, (_, index) => `${type}.${index + 1}`),
  );
}
