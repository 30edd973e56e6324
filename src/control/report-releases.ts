import type { App } from "../app/app.ts";
import type { DeployRecord } from "../app/deploy.ts";
import type { Release } from "../app/release.ts";
import type { ReleasesReport } from "../app/reports.ts";
import type { Controller } from "./controller.ts";
import { frozenReleases } from "./warm.ts";

type Entry = ReleasesReport["releases"][number];

/** What retention keeps of an app, and its latest deploys. Throws `APP_NOT_FOUND`. */
export async function reportReleases(
  controller: Controller,
  name: string,
  count: number,
): Promise<ReleasesReport> {
  const app = controller.registry.get(name);
  const releases = await controller.releases.list(name);
  const deploys = await controller.history.of(name);
  const warm = frozenReleases(controller, name);
  return {
    app: name,
    releases: releases.toReversed().map((release) => ({
      release: release.number,
      state: stateOf(app, release.number),
      ...(warm.includes(release.number) ? { warm: true } : {}),
      ...("problem" in release ? { problem: release.problem } : describe(release, deploys)),
    })),
    deploys: deploys.slice(0, count).map(({ v: _, app: _app, process: _process, ...deploy }) => deploy),
  };
}

function describe(
  release: Release,
  deploys: readonly DeployRecord[],
): Omit<Entry, "release" | "state" | "warm"> {
  const { createdAt, checksum, files, bytes, config, origin, plan } = release;
  const steps = deploys.find(({ id }) => id === origin?.deploy)?.steps;
  return {
    createdAt,
    ...(origin ? { by: origin.by } : {}),
    ...(origin?.commit === undefined ? {} : { commit: origin.commit }),
    ...(config ? { config } : {}),
    checksum,
    ...(steps ? { steps } : {}),
    source: plan.source,
    files,
    bytes,
  };
}

function stateOf({ release, previousRelease }: App, number: number): Entry["state"] {
  if (number === release) return "current";
  return number === previousRelease ? "previous" : "kept";
}
