import type { App } from "../app/app.ts";
import { MaestroError } from "../errors.ts";
import { Build } from "./build.ts";
import type { Controller } from "./controller.ts";
import type { Deploy } from "./deploy.ts";
import type { MadeRelease, NewRelease } from "./ports.ts";
import type { Steps } from "./steps.ts";

/** What lies in incoming/, as a release: built, where it has to be. */
export async function makeRelease(
  controller: Controller,
  app: App,
  deploy: Deploy,
  steps: Steps,
): Promise<MadeRelease> {
  const request = await newRelease(controller, app, deploy);
  const half = await controller.releases.receiving(app.name);
  if (half !== null) return sameAgain(controller, app, request, half);
  const build = new Build(controller, app, steps);
  try {
    const made = await controller.releases.make({ ...request, latest: app.release, builder: build });
    deploy.made(made.release.number);
    build.done();
    return made;
  } finally {
    await build.close();
  }
}

/** What lies in incoming/ is half of something: what serves is started afresh, and nothing else. */
async function sameAgain(
  { releases }: Controller,
  { name, release: current, config }: App,
  request: NewRelease,
  { by, since }: { by: string; since: string },
): Promise<MadeRelease> {
  const what = `what ${by} began to send for ${name} at ${since} has arrived only in part`;
  if (current === null) {
    throw new MaestroError("NOTHING_TO_RUN", `${what}; deploy it again`, { app: name, by, since });
  }
  const release = await releases.get(name, current);
  const isSame = (release.config ?? null) === config;
  const made = isSame
    ? { release, fresh: false, stored: Promise.resolve() }
    : await releases.remake({ ...request, of: current });
  return {
    ...made,
    notes: [`${what}, and is not deployed: these are fresh instances of v${current}; deploy again`],
  };
}

/** What every new release of an app is made with. */
export async function newRelease(
  { history }: Controller,
  { name, user, config }: App,
  deploy: Deploy,
): Promise<NewRelease> {
  await deploy.written(); // Whatever the next controller may find half-done has a record.
  const above = history.highestRelease(name);
  return { app: name, gid: user?.gid ?? null, above, config, origin: deploy.origin };
}
