import type { Variables } from "../app/app-config.ts";
import type { Release } from "../app/release.ts";
import type { Controller } from "./controller.ts";

/**
 * What an app's processes find in their environment besides Maestro's own variables: the config of the release over
 * the defaults of its app.json. Throws `INTERNAL` when the config cannot be read.
 */
export async function environmentOf({ configs }: Controller, release: Release): Promise<Variables> {
  return { ...release.plan.env, ...(await configs.read(release.app, release.config ?? null)) };
}
