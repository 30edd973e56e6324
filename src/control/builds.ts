import type { BuildReport } from "../app/reports.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";

/** What is being built and deployed at the moment, of one app or of all, in the order in which it came. */
export function reportBuilds({ deploys }: Controller, app?: string): BuildReport[] {
  return [...deploys.values()].filter((deploy) => app === undefined || deploy.app === app).map(report);
}

function report(deploy: Deploy): BuildReport {
  const { id, app, what, underWay, isWaiting } = deploy;
  const { since, by, step, detail } = underWay;
  return {
    id,
    app,
    what,
    by,
    since,
    step: isWaiting ? "waiting" : step,
    ...(detail === null ? {} : { detail }),
  };
}

/**
 * Ends a deploy that is under way, and all that it has started. Resolves when nothing of it is left and its caller knows;
 * what served serves on. Throws `BAD_INPUT` when there is no such deploy, `BUSY` when it is too late.
 */
export async function cancelBuild(
  controller: Controller,
  { id, app, by }: { id: string; app: string | undefined; by: string },
): Promise<BuildReport> {
  const deploy = controller.deploys.get(id);
  if (deploy === undefined || (app !== undefined && deploy.app !== app))
    throw notUnderWay(controller, id, app);
  const cancelled = report(deploy);
  if (!deploy.cancel(by)) {
    const message = `it is too late to cancel: the traffic of ${deploy.app} is being moved over; \`maestro rollback ${deploy.app}\` goes back`;
    throw new MaestroError("BUSY", message, { id, app: deploy.app });
  }
  controller.log.info({ app: deploy.app, deploy: id, by }, "deploy.cancelled");
  await deploy.over;
  return cancelled;
}

function notUnderWay({ deploys }: Controller, id: string, app: string | undefined): MaestroError {
  const known = [...deploys.values()].filter((deploy) => app === undefined || deploy.app === app);
  const there = known.map((deploy) => `${deploy.id} (${deploy.app})`).join(", ") || "nothing";
  return new MaestroError("BAD_INPUT", `no deploy ${id} is under way; under way is: ${there}`, { id });
}
