import type { App } from "../app/app.ts";
import { checkName, checkVariables, type Variables } from "../app/app-config.ts";
import type { ConfigChangeReport, ConfigReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import { inTurn, type TurnRequest } from "./admit.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";
import { newRelease } from "./new-release.ts";
import type { MadeRelease } from "./ports.ts";
import { register } from "./register.ts";
import { goLive } from "./restart.ts";

export type ConfigChange = { set: Variables; unset: readonly string[] };

/** The config that the app's instances have, or will have when it is deployed. Throws `APP_NOT_FOUND`. */
export async function reportConfig(controller: Controller, name: string): Promise<ConfigReport> {
  const { config } = controller.registry.get(name);
  return { app: name, config, values: { ...(await controller.configs.read(name, config)) } };
}

/**
 * Another config for an app: a new release of the code that serves, which replaces it like any. Where nothing serves, it
 * is in force from the next deploy on; a name that is new is registered, since an app may need its config to become
 * ready at all. Where it is the same as before nothing is done.
 *
 * Throws `BAD_INPUT` for what no environment can hold and for a variable to unset that is not set, and as `restart`.
 */
export async function changeConfig(
  controller: Controller,
  request: TurnRequest,
  change: ConfigChange,
): Promise<ConfigChangeReport> {
  checkVariables(change.set);
  for (const [index, name] of change.unset.entries()) checkName(name, index + 1);
  if (change.unset.length > 0) controller.registry.get(request.app);
  return inTurn(controller, request, "config", async (deploy) => {
    const app = await register(controller, request.app);
    const before = await controller.configs.read(app.name, app.config);
    const { values, changed } = applyChange(app, before, change);
    if (changed.length === 0) return { app: app.name, config: app.config, changed, deploy: null };
    if (app.release === null || app.stopped) return keepForLater(controller, app, values, changed);
    const live = await goLive(controller, { ...request, hostnames: [] }, deploy, {
      choose: (known) => remake(controller, known, values, deploy),
    });
    return { app: app.name, config: controller.registry.get(app.name).config, changed, deploy: live };
  });
}

/** Also a config that was mended by hand is looked at as a whole: together the variables may be too large. */
function applyChange(
  { name: app }: App,
  before: Variables,
  { set, unset }: ConfigChange,
): { values: Variables; changed: string[] } {
  const values = new Map(Object.entries(before));
  for (const name of unset) {
    if (!values.delete(name)) throw notSet(app, name, before);
  }
  for (const [name, value] of Object.entries(set)) values.set(name, value);
  const names = new Set([...Object.keys(before), ...values.keys()]);
  const changed = [...names].filter((name) => values.get(name) !== ownValue(before, name));
  const sorted = [...values].sort(([one], [other]) => (one < other ? -1 : 1));
  const after = Object.fromEntries(sorted);
  checkVariables(after);
  return { values: after, changed: changed.sort() };
}

const ownValue = (values: Variables, name: string) =>
  Object.hasOwn(values, name) ? values[name] : undefined;

async function keepForLater(
  controller: Controller,
  app: App,
  values: Variables,
  changed: string[],
): Promise<ConfigChangeReport> {
  const config = await controller.configs.write(app.name, values, app.config ?? 0);
  await controller.registry.save({ ...app, config });
  return { app: app.name, config, changed, deploy: null };
}

async function remake(
  controller: Controller,
  app: App,
  values: Variables,
  deploy: Deploy,
): Promise<MadeRelease> {
  const request = await newRelease(controller, app, deploy);
  const config = await controller.configs.write(app.name, values, app.config ?? 0);
  const made = await controller.releases.remake({ ...request, of: app.release ?? 0, config });
  deploy.made(made.release.number);
  return made;
}

function notSet(app: string, name: string, before: Variables): MaestroError {
  const there = Object.keys(before).join(", ") || "none";
  return new MaestroError("BAD_INPUT", `${name} is not set for ${app}; set are: ${there}`, {
    app,
    name,
    set: Object.keys(before),
  });
}
