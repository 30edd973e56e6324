import type { Variables } from "../app/app-config.ts";
import type { Controller } from "./controller.ts";

/** What of a release matters here. */
type EnvironmentFacts = {
  app: string;
  config?: number | null | undefined;
  plan: { env: Variables };
};

/**
 * What an app's processes find in their environment besides Maestro's own variables: the config of the release over
 * the defaults of its app.json, over the address of its database. Throws `INTERNAL` when the
 * config cannot be read.
 */
export async function environmentOf(
  { configs, databases }: Controller,
  release: EnvironmentFacts,
): Promise<Variables> {
  const [url, config] = await Promise.all([
    databases.urlOf(release.app),
    configs.read(release.app, release.config ?? null),
  ]);
  return { ...(url === null ? {} : { COUCHDB_URL: url }), ...release.plan.env, ...config };
}
