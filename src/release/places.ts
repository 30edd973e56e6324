import { join } from "node:path";
import { AppName } from "../app/app.ts";

/** Where an app's code, its releases and what is known of them lie. All absolute. */
export type Places = {
  app: string;
  directory: string;
  incoming: string;
  releases: string;
  logs: string;
  /** Dependencies that were installed for it, to be used again. */
  cache: string;
  /** For the deploy command of 2012, whose rsync writes to `apps/NAME/webapp`. */
  webapp: string;
  state: string;
  /** What `incoming/` looked like when it was last read; a cache. */
  incomingIndex: string;
  /** Who sends to `incoming/`, as long as it is not whole. */
  receiving: string;
  /** The files of release N. */
  release(number: number): string;
  /** What release N says of itself; it exists from the moment when this file does. */
  record(number: number): string;
  /** Path, mode and digest of each of its files. */
  manifest(number: number): string;
};

/** Throws for a name that is no app's: these paths are also removed with all that is below them. */
export function placesOf(home: string, app: string): Places {
  AppName.parse(app);
  const directory = join(home, "apps", app);
  const releases = join(directory, "releases");
  const state = join(home, "state", "releases", app);
  return {
    app,
    directory,
    incoming: join(directory, "incoming"),
    releases,
    logs: join(directory, "logs"),
    cache: join(directory, "cache"),
    webapp: join(directory, "webapp"),
    state,
    incomingIndex: join(state, "incoming.json"),
    receiving: join(state, "receiving.json"),
    release: (number) => join(releases, `v${number}`),
    record: (number) => join(state, `v${number}.json`),
    manifest: (number) => join(state, `v${number}.manifest.json`),
  };
}
