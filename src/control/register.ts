import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { App } from "../app/app.ts";
import { prefixOfMount } from "../app/mount.ts";
import type { Caller } from "../app/principal.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { HostnameClaims, withHostnames } from "./admit.ts";
import type { Controller } from "./controller.ts";

/**
 * The app of that name; one that is new is registered. `mustHaveCode`: only if something was sent for it, so that
 * a misspelt name does not become an app. Throws `APP_NOT_FOUND`.
 */
export async function register(
  controller: Controller,
  name: string,
  { mustHaveCode = false }: { mustHaveCode?: boolean } = {},
): Promise<App> {
  const known = controller.registry.find(name);
  if (known) return known;
  if (mustHaveCode && !(await codeWasSent(controller, name))) return controller.registry.get(name);
  using claims = new HostnameClaims(controller, name);
  claims.add(controller.hostnames({ name, hostnames: [] }));
  const app = await controller.registry.create(name, ownUsers());
  await controller.releases.prepareIncoming(name, app.user?.gid ?? null);
  return app;
}

/** The directory into which the app's code is sent: <home>/apps/NAME/incoming. Registers an app that is new. */
export async function prepareIncoming(controller: Controller, name: string): Promise<string> {
  const app = await register(controller, name);
  return controller.releases.prepareIncoming(name, app.user?.gid ?? null);
}

/** Only root can start a program as another user. */
const ownUsers = () => process.getuid?.() === 0;

async function codeWasSent(controller: Controller, name: string): Promise<boolean> {
  try {
    return (await stat(join(controller.config.home, "apps", name, "incoming"))).isDirectory();
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** Adds a hostname to those of an app. Throws `HOSTNAME_TAKEN`. */
export async function addHostname(
  controller: Controller,
  name: string,
  hostname: string,
  { strip, apps }: { strip: boolean } & Pick<Caller, "apps">,
): Promise<App> {
  if (strip && prefixOfMount(hostname) === "") {
    const message = `${hostname} has no path prefix that could be stripped; write it behind the hostname, as in ${hostname}/shop`;
    throw new MaestroError("BAD_INPUT", message, { app: name, hostname });
  }
  const change = (app: App) => withHostnames(app, [hostname], strip ? [hostname] : []);
  return changeHostnames(controller, name, change, apps === undefined ? {} : { apps });
}

/** Moves an app to one hostname: those that it had lead to it no more. Throws `HOSTNAME_TAKEN`. */
export async function moveToHostname(controller: Controller, name: string, hostname: string): Promise<App> {
  return changeHostnames(controller, name, (app) => ({ ...app, hostnames: [hostname], stripped: [] }));
}

/** Throws `BAD_INPUT` when the hostname is not one that the app was given. */
export async function removeHostname(controller: Controller, name: string, hostname: string): Promise<App> {
  return changeHostnames(controller, name, (app) => {
    if (app.hostnames.includes(hostname)) {
      const isOther = (other: string) => other !== hostname;
      return {
        ...app,
        hostnames: app.hostnames.filter(isOther),
        stripped: app.stripped.filter(isOther),
      };
    }
    throw new MaestroError("BAD_INPUT", `${hostname} is not a hostname that ${name} was given`, {
      app: name,
      hostname,
      hostnames: app.hostnames,
    });
  });
}

async function changeHostnames(
  controller: Controller,
  name: string,
  change: (app: App) => App,
  caller: Pick<Caller, "apps"> = {},
): Promise<App> {
  return controller.serializer.run(name, async () => {
    const before = controller.registry.get(name);
    using claims = new HostnameClaims(controller, name, caller);
    const changed = change(before);
    claims.add(controller.hostnames(changed));
    const app = await controller.registry.save(changed);
    await controller.publish(app);
    return app;
  });
}
