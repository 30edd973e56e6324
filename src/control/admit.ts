import type { App } from "../app/app.ts";
import type { DeployRecord } from "../app/deploy.ts";
import type { Caller } from "../app/principal.ts";
import type { DeployProgress } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";

/** Who asks for a change of an app, and whether it waits for its turn. */
export type TurnRequest = Caller & {
  app: string;
  /** While another deploy of the app is under way: wait for it instead of failing with `BUSY`. */
  wait: boolean;
  onProgress?: ((progress: DeployProgress) => void) | undefined;
};

export type DeployRequest = TurnRequest & {
  /** Hostnames that the app shall have from the switch on, besides those it has; normalised. */
  hostnames: readonly string[];
  /** The commit that is deployed, where that is known. */
  commit?: string | undefined;
};

/**
 * One deploy of an app at a time, in the order in which they came. Throws `BUSY` when one is under way and this
 * one does not want to wait.
 */
export async function inTurn<T>(
  controller: Controller,
  request: TurnRequest & { commit?: string | undefined },
  what: DeployRecord["what"],
  work: (deploy: Deploy) => Promise<T>,
): Promise<T> {
  const runtime = controller.runtime(request.app);
  const underWay = runtime.deploying?.underWay;
  if (underWay && !request.wait) {
    throw new MaestroError(
      "BUSY",
      `another deploy of ${request.app} is under way since ${underWay.since}; wait for it with --wait, or try again`,
      { app: request.app, ...underWay },
    );
  }
  controller.refuseWhenClosing();
  const deploy = controller.history.begin({
    app: request.app,
    by: request.by,
    what,
    commit: request.commit ?? null,
  });
  runtime.deploying ??= deploy;
  controller.deploys.set(deploy.id, deploy);
  try {
    return await controller.serializer.run(request.app, () => doInTurn(controller, deploy, work));
  } finally {
    if (runtime.deploying === deploy) runtime.deploying = null;
    controller.deploys.delete(deploy.id);
    deploy.settle();
  }
}

async function doInTurn<T>(
  controller: Controller,
  deploy: Deploy,
  work: (deploy: Deploy) => Promise<T>,
): Promise<T> {
  const runtime = controller.runtime(deploy.app);
  controller.refuseWhenClosing();
  deploy.isWaiting = false;
  runtime.deploying = deploy;
  await publishIfAway(controller, deploy.app);
  try {
    deploy.signal.throwIfAborted();
    const result = await work(deploy);
    void deploy.done();
    return result;
  } catch (error) {
    await deploy.failed(error); // Who is told so finds it in the history.
    throw error;
  } finally {
    if (runtime.deploying === deploy) runtime.deploying = null;
    await publishIfAway(controller, deploy.app);
  }
}

/** While an app that does not serve is being deployed its requests are held; when that fails, no longer. */
async function publishIfAway(controller: Controller, name: string): Promise<void> {
  const app = controller.registry.known(name);
  if (app && controller.runtime(name).serving.size === 0) await controller.publish(app);
}

/**
 * Hostnames held for an app while it is being deployed, so that two deploys cannot both find one free.
 * They are free again at the end of the block that `using` holds them in; by then the app owns them or has failed.
 */
export class HostnameClaims implements Disposable {
  readonly #controller: Controller;
  readonly #app: string;
  readonly #apps: Caller["apps"];
  readonly #hostnames = new Set<string>();

  constructor(controller: Controller, app: string, { apps }: Pick<Caller, "apps"> = {}) {
    this.#controller = controller;
    this.#app = app;
    this.#apps = apps;
  }

  /** All of them or none. Throws `HOSTNAME_TAKEN`. */
  add(hostnames: readonly string[]): void {
    for (const hostname of hostnames) {
      refuseTaken(this.#controller, this.#app, hostname);
      if (this.#apps) refuseForeign(this.#controller, this.#app, hostname, this.#apps);
    }
    for (const hostname of hostnames) {
      this.#hostnames.add(hostname);
      this.#controller.claims.set(hostname, this.#app);
    }
  }

  [Symbol.dispose](): void {
    for (const hostname of this.#hostnames) this.#controller.claims.delete(hostname);
  }
}

function refuseTaken(controller: Controller, app: string, hostname: string): void {
  const owner = controller.registry.ownerOf(hostname)?.name ?? controller.claims.get(hostname);
  if (owner === undefined || owner === app) return;
  throw new MaestroError(
    "HOSTNAME_TAKEN",
    `${hostname} belongs to the app "${owner}"; choose another, or free it with \`maestro domains remove ${owner} ${hostname}\``,
    { hostname, app, owner },
  );
}

/**
 * Whoever has a part of a hostname acts towards browsers as the whole of it, with its cookies: only somebody who may change
 * the other apps there can add one.
 */
function refuseForeign(controller: Controller, app: string, mount: string, apps: readonly string[]): void {
  if (controller.registry.ownerOf(mount)?.name === app) return;
  const owner = controller.registry.sharing(mount).find(({ name }) => name !== app && !apps.includes(name));
  if (!owner) return;
  throw new MaestroError(
    "HOSTNAME_TAKEN",
    `${mount} would share its hostname with the app "${owner.name}", which is not one of yours; let an admin add it`,
    { hostname: mount, app, owner: owner.name },
  );
}

/** The app with hostnames added to those that it has. `stripped`: those of them of which the prefix is taken off. */
export function withHostnames(app: App, hostnames: readonly string[], stripped?: readonly string[]): App {
  const added = { ...app, hostnames: [...new Set([...app.hostnames, ...hostnames])] };
  if (!stripped) return added;
  return { ...added, stripped: [...app.stripped.filter((mount) => !hostnames.includes(mount)), ...stripped] };
}
