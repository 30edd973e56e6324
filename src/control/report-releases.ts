import type { App } from "../app/app.ts";
import type { ReleasesReport } from "../app/reports.ts";
import type { Controller } from "./controller.ts";

/** What retention keeps of an app, and its latest deploys. Throws `APP_NOT_FOUND`. */
export async function reportReleases(
  controller: Controller,
  name: string,
  count: number,
): Promise<ReleasesReport> {
  const app = controller.registry.get(name);
  const releases = await controller.releases.list(name);
  const deploys = await controller.history.of(name);
  return {
    app: name,
    releases: releases.toReversed().map((release) => ({
      release: release.number,
      state: stateOf(app, release.number),
      ...("problem" in release
        ? { problem: release.problem }
        : {
            createdAt: release.createdAt,
            source: release.plan.source,
            files: release.files,
            bytes: release.bytes,
          }),
    })),
    deploys: deploys.slice(0, count).map(({ v: _, app: _app, process: _process, ...deploy }) => deploy),
  };
}

function stateOf(
  { release, previousRelease }: App,
  number: number,
): ReleasesReport["releases"][number]["state"] {
  if (number === release) return "current";
  return number === previousRelease ? "previous" : "kept";
}
