import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Release } from "../app/release.ts";
import { namesIn } from "../lib/directory.ts";
import { prepareIncoming } from "./incoming.ts";
import { isPartial, type MadeRelease, type MakeRequest, makeRelease } from "./make.ts";
import { type Places, placesOf } from "./places.ts";
import { beginReceiving, endReceiving, type Receiving, receivingOf } from "./receiving.ts";
import { listRecords, readRecord, releaseNumbers, type UnreadableRelease } from "./records.ts";
import { type RemakeRequest, remakeRelease } from "./remake.ts";
import { Runtimes } from "./runtimes/runtimes.ts";
import { stage } from "./staging.ts";

/**
 * Retention: the newest `keep` releases of an app that have served stay, as long as they are not older than `keepDays`;
 * the one that serves and the one before it always do.
 */
export type Retention = { keep: number; keepDays: number };
export type ReleaseStoreOptions = { home: string } & Retention;

/** Code, and the immutable releases made of it. Changes to one app must come one after the other. */
export type ReleaseStore = {
  /** Makes the directories of an app, and answers where its code is sent. */
  prepareIncoming(app: string, gid: number | null): Promise<string>;
  /** Somebody sends to `incoming/`: it is not whole until he says so. */
  beginReceiving(app: string, by: string): Promise<void>;
  endReceiving(app: string): Promise<void>;
  /** Who sends to it; null when all that was sent is there. */
  receiving(app: string): Promise<Receiving | null>;
  /** The content of `incoming/` as a release; the same content as release `latest` is that one again, not fresh. */
  make(request: MakeRequest): Promise<MadeRelease>;
  /** The files of a release as a new one, with another config. */
  remake(request: RemakeRequest & { app: string }): Promise<MadeRelease>;
  /** Throws `BAD_INPUT` when there is no such release, `INTERNAL` when its record was damaged. */
  get(app: string, number: number): Promise<Release>;
  /** All releases, oldest first; for one whose record was damaged, its number and what is wrong. */
  list(app: string): Promise<(Release | UnreadableRelease)[]>;
  /** Where the files of a release are. */
  directory(app: string, number: number): string;
  /** Where the Node of a version is. */
  nodeOf(version: string): string;
  /** Removes what retention does not keep. */
  sweep(app: string, request: SweepRequest): Promise<void>;
  /** Makes the tree of an app's next release ahead, so that making it waits for what differs alone. */
  stage(app: string): Promise<void>;
  /** Removes all releases of an app, what was sent for it, and what is known of them. Its logs stay. */
  removeApp(app: string): Promise<void>;
  /** Removes what releases left behind that were never finished, of all apps, and answers its paths. For a start. */
  sweepPartials(): Promise<string[]>;
};

/** `served`: the numbers of the releases that have served, the latest last. `inUse`: those that stay in any case. */
export type SweepRequest = {
  /** Null while none has served. */
  current: number | null;
  previous: number | null;
  served: readonly number[];
  /** Those that are in use besides: of processes that have not ended. */
  inUse?: readonly number[];
  now?: Date;
};

export function createReleaseStore({ home, keep, keepDays }: ReleaseStoreOptions): ReleaseStore {
  const places = (app: string) => placesOf(home, app);
  const runtimes = new Runtimes(join(home, "runtimes"));
  return {
    prepareIncoming: async (app, gid) => prepareIncoming(places(app), gid),
    beginReceiving: async (app, by) => beginReceiving(places(app), by),
    endReceiving: async (app) => endReceiving(places(app)),
    receiving: async (app) => receivingOf(places(app)),
    make: async (request) => makeRelease(places(request.app), runtimes, request),
    remake: async (request) => remakeRelease(places(request.app), request),
    get: async (app, number) => readRecord(places(app), number),
    list: async (app) => listRecords(places(app)),
    directory: (app, number) => places(app).release(number),
    nodeOf: (version) => runtimes.nodeOf(version),
    sweep: async (app, request) => {
      const isLess = await sweep(places(app), { keep, keepDays }, request);
      if (isLess) await sweepRuntimes(home, runtimes);
    },
    stage: async (app) => stage(places(app)),
    removeApp: async (app) => {
      await removeApp(places(app));
      await sweepRuntimes(home, runtimes);
    },
    sweepPartials: async () => {
      await runtimes.sweepPartials();
      return sweepPartials(home);
    },
  };
}

/** Answers whether anything had to go. */
async function sweep(places: Places, retention: Retention, request: SweepRequest): Promise<boolean> {
  const { current, previous, served, inUse = [], now = new Date() } = request;
  const there = await releaseNumbers(places);
  // A registry that names what is not there was damaged: nobody knows what is still needed.
  if (current !== null && !there.includes(current)) return false;
  const candidates = served.filter((number) => there.includes(number)).slice(-retention.keep);
  const young = await youngOf(places, candidates, now.getTime() - retention.keepDays * dayMs);
  const kept = new Set<number | null>([...young, ...inUse, current, previous]);
  const superfluous = there.filter((number) => !kept.has(number));
  for (const number of superfluous) await removeRelease(places, number);
  return superfluous.length > 0;
}

/** Removes the runtimes that no release of any app needs. Where one cannot be read, nobody knows. */
async function sweepRuntimes(home: string, runtimes: Runtimes): Promise<void> {
  const used = new Set<string>();
  for (const app of await namesIn(join(home, "state", "releases"))) {
    for (const release of await listRecords(placesOf(home, app))) {
      if ("problem" in release) return;
      for (const name of release.runtimes ?? []) used.add(name);
    }
  }
  await runtimes.sweep(used);
}

const dayMs = 24 * 60 * 60 * 1000;

/** One whose record does not tell its age is kept as long as its number is. */
async function youngOf(places: Places, numbers: readonly number[], since: number): Promise<number[]> {
  const young: number[] = [];
  for (const number of numbers) {
    const record = await readRecord(places, number).catch(() => null);
    if (record === null || Date.parse(record.createdAt) >= since) young.push(number);
  }
  return young;
}

/** Its record goes first: what is left when this is cut short is no release, and goes with the next sweep. */
async function removeRelease(places: Places, number: number): Promise<void> {
  await rm(places.record(number), { force: true });
  await rm(places.manifest(number), { force: true });
  await rm(places.release(number), { recursive: true, force: true });
}

async function removeApp(places: Places): Promise<void> {
  for (const path of [places.state, places.releases, places.incoming, places.cache]) {
    await rm(path, { recursive: true, force: true });
  }
  await rm(places.webapp, { recursive: true, force: true });
}

async function sweepPartials(home: string): Promise<string[]> {
  const removed: string[] = [];
  for (const app of await namesIn(join(home, "apps"))) {
    const records = await namesIn(join(home, "state", "releases", app));
    // A release is one from the moment when its record is there; before, its directory already has its last name.
    const isUnrecorded = (name: string) => /^v\d+$/.test(name) && !records.includes(`${name}.json`);
    const isHalfMade = (name: string) => isPartial(name) || isUnrecorded(name);
    await removeWhere(join(home, "apps", app, "releases"), isHalfMade, removed);
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
    // Programs of a build may still be about to end, with the controller that they ended with.
    await rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    removed.push(path);
  }
}
