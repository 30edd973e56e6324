import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Release } from "../app/release.ts";
import { namesIn } from "../lib/directory.ts";
import { prepareIncoming } from "./incoming.ts";
import { isPartial, type MadeRelease, type MakeRequest, makeRelease } from "./make.ts";
import { type Places, placesOf } from "./places.ts";
import { listRecords, readRecord, releaseNumbers, type UnreadableRelease } from "./records.ts";
import { stage } from "./staging.ts";

/** `keep`: how many of the newest releases of an app are kept, besides the one that serves and the one before it. */
export type ReleaseStoreOptions = { home: string; keep?: number };

/** Code, and the immutable releases made of it. Changes to one app must come one after the other. */
export type ReleaseStore = {
  /** Makes the directories of an app, and answers where its code is sent. */
  prepareIncoming(app: string, gid: number | null): Promise<string>;
  /** The content of `incoming/` as a release; the same content as release `latest` is that one again, not fresh. */
  make(request: MakeRequest): Promise<MadeRelease>;
  /** Throws `BAD_INPUT` when there is no such release, `INTERNAL` when its record was damaged. */
  get(app: string, number: number): Promise<Release>;
  /** All releases, oldest first; for one whose record was damaged, its number and what is wrong. */
  list(app: string): Promise<(Release | UnreadableRelease)[]>;
  /** Where the files of a release are. */
  directory(app: string, number: number): string;
  /** Removes the oldest releases beyond the newest `keep`, never the current one or the one before it. */
  sweep(app: string, kept: SweepRequest): Promise<void>;
  /** Makes the tree of an app's next release ahead, so that making it waits for what differs alone. */
  stage(app: string): Promise<void>;
  /** Removes all releases of an app, what was sent for it, and what is known of them. Its logs stay. */
  removeApp(app: string): Promise<void>;
  /** Removes what releases left behind that were never finished, of all apps, and answers its paths. For a start. */
  sweepPartials(): Promise<string[]>;
};

export type SweepRequest = { current: number; previous: number | null; keep?: number };

export function createReleaseStore({ home, keep = 5 }: ReleaseStoreOptions): ReleaseStore {
  const places = (app: string) => placesOf(home, app);
  return {
    prepareIncoming: async (app, gid) => prepareIncoming(places(app), gid),
    make: async (request) => makeRelease(places(request.app), request),
    get: async (app, number) => readRecord(places(app), number),
    list: async (app) => listRecords(places(app)),
    directory: (app, number) => places(app).release(number),
    sweep: async (app, kept) => sweep(places(app), { keep, ...kept }),
    stage: async (app) => stage(places(app)),
    removeApp: async (app) => removeApp(places(app)),
    sweepPartials: async () => sweepPartials(home),
  };
}

async function sweep(places: Places, { current, previous, keep }: Required<SweepRequest>): Promise<void> {
  const numbers = await releaseNumbers(places);
  // The newest always stays: from its number follows the next one.
  const newest = new Set(numbers.slice(-Math.max(1, keep)));
  for (const number of numbers) {
    if (number !== current && number !== previous && !newest.has(number)) await removeRelease(places, number);
  }
}

/** Its record goes first: what is left when this is cut short is no release, and goes with the next sweep. */
async function removeRelease(places: Places, number: number): Promise<void> {
  await rm(places.record(number), { force: true });
  await rm(places.manifest(number), { force: true });
  await rm(places.release(number), { recursive: true, force: true });
}

async function removeApp(places: Places): Promise<void> {
  for (const path of [places.state, places.releases, places.incoming]) {
    await rm(path, { recursive: true, force: true });
  }
  await rm(places.webapp, { recursive: true, force: true });
}

async function sweepPartials(home: string): Promise<string[]> {
  const removed: string[] = [];
  for (const app of await namesIn(join(home, "apps"))) {
    await removeWhere(join(home, "apps", app, "releases"), isPartial, removed);
  }
  for (const app of await namesIn(join(home, "state", "releases"))) {
    await removeWhere(join(home, "state", "releases", app), (name) => name.endsWith(".tmp"), removed);
  }
  return removed;
}

async function removeWhere(
  directory: string,
  isLeftOver: (name: string) => boolean,
  removed: string[],
): Promise<void> {
  for (const name of (await namesIn(directory)).filter(isLeftOver)) {
    const path = join(directory, name);
    await rm(path, { recursive: true, force: true });
    removed.push(path);
  }
}
