import type { App } from "../app/app.ts";
import type { Release } from "../app/release.ts";
import type { DeployReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import { inTurn, type TurnRequest } from "./admit.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";
import type { Instance } from "./instance.ts";
import type { MadeRelease } from "./ports.ts";
import { goLive } from "./restart.ts";
import { startAll } from "./start-all.ts";
import type { Steps } from "./steps.ts";
import { frozenReleases, thawReady } from "./warm.ts";

/** `to`: the number of a release; absent: the one that served before. */
export type RollbackRequest = TurnRequest & { to?: number | undefined };

/**
 * An earlier release behind an app's hostnames, with the config that it had. It is put live as any release is, and may
 * serve again from the same number on.
 *
 * Throws `BAD_INPUT` when there is none to go back to, `BUSY`, `APP_NOT_FOUND`, `APP_NOT_READY`, `APP_EXITED`.
 */
export async function rollback(controller: Controller, request: RollbackRequest): Promise<DeployReport> {
  controller.registry.get(request.app);
  return inTurn(controller, request, "rollback", (deploy) =>
    goLive(controller, { ...request, hostnames: [] }, deploy, {
      choose: (app) => choose(controller, app, deploy, request.to),
      start: (...what) => startWarm(controller, ...what),
    }),
  );
}

/** At once, where instances of the release were kept; what is missing then is started behind the switch. */
async function startWarm(
  controller: Controller,
  app: App,
  release: Release,
  steps: Steps,
): Promise<Instance[]> {
  if (!frozenReleases(controller, app.name).includes(release.number)) {
    return startAll(controller, app, release, steps);
  }
  steps.began("start");
  const thawed = await thawReady(controller, app, release);
  if (thawed.length === 0) return startAll(controller, app, release, steps);
  steps.done("start", `${thawed.map(({ id }) => id).join(", ")}, kept warm`);
  return thawed;
}

async function choose(
  controller: Controller,
  app: App,
  deploy: Deploy,
  to: number | undefined,
): Promise<MadeRelease> {
  const kept = (await controller.releases.list(app.name)).map(({ number }) => number);
  const number = to ?? releaseBefore(app, kept);
  if (number === null) throw nothingBefore(app, kept);
  if (number === app.release) throw isCurrent(app, number);
  if (!kept.includes(number)) throw notKept(app, number, kept);
  const release = await controller.releases.get(app.name, number);
  deploy.made(number);
  return { release, fresh: false, stored: Promise.resolve() };
}

/**
 * The one that served before, and not one that was itself rolled back from: those are above the current one, or stand
 * before all others in the order in which they served.
 */
function releaseBefore({ release, served }: App, kept: readonly number[]): number | null {
  if (release === null) return null;
  return served.findLast((number) => number < release && kept.includes(number)) ?? null;
}

function nothingBefore({ name, release }: App, kept: readonly number[]): MaestroError {
  const message =
    release === null
      ? `nothing of ${name} was live yet; deploy it`
      : `there is no release of ${name} before v${release} to go back to; kept are: ${listed(kept)}`;
  return new MaestroError("BAD_INPUT", message, { app: name, release, releases: kept });
}

function isCurrent({ name, stopped }: App, number: number): MaestroError {
  const message = stopped
    ? `v${number} of ${name} is the current release, and stopped; \`maestro restart ${name}\` starts it`
    : `v${number} of ${name} is the release that serves already`;
  return new MaestroError("BAD_INPUT", message, { app: name, release: number });
}

function notKept({ name }: App, number: number, kept: readonly number[]): MaestroError {
  return new MaestroError("BAD_INPUT", `v${number} of ${name} is not kept; kept are: ${listed(kept)}`, {
    app: name,
    release: number,
    releases: kept,
  });
}

const listed = (numbers: readonly number[]) => numbers.map((number) => `v${number}`).join(", ") || "none";
