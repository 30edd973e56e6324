import { randomUUID } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import type { Builder } from "../app/build.ts";
import type { Release, ReleasePlan } from "../app/release.ts";
import { unlessAborted } from "../lib/aborted.ts";
import { DependencyCache } from "./build/cache.ts";
import { compile, type Installed, isWork, originalsIn, type Tree, type Workplace } from "./build/compile.ts";
import { placeAll } from "./build/place.ts";
import { type Preparation, prepare } from "./build/prepare.ts";
import { detect } from "./detect.ts";
import { changedMeanwhile, makeFailure } from "./failures.ts";
import { type Base, fillTree, makeDirectory } from "./fill.ts";
import { discard, store } from "./finish.ts";
import { prepareReleases } from "./incoming.ts";
import { rememberDigests } from "./incoming-index.ts";
import type { MadeRelease, MakeRequest, Sent } from "./make.ts";
import { readManifest } from "./manifest.ts";
import { modesFor } from "./modes.ts";
import type { Pace } from "./pace.ts";
import type { Places } from "./places.ts";
import { releaseNumbers } from "./records.ts";
import type { Runtimes } from "./runtimes/runtimes.ts";
import { keepWanted, takeStaged } from "./staging.ts";
import { byPath, checksumOf, type Entry, isFile, isRead, type SourceEntry } from "./tree.ts";
import type { SourceTree } from "./walk.ts";

/** Made aside, then named, and built where it is going to run: programs may write down where they are. */
export async function makeFresh(
  places: Places,
  runtimes: Runtimes,
  request: MakeRequest,
  { source, content }: Sent,
): Promise<Pick<MadeRelease, "release" | "stored">> {
  const { gid, builder = nobody } = request;
  const numbers = await releaseNumbers(places);
  const number = Math.max(numbers.at(-1) ?? 0, request.above) + 1;
  await prepareReleases(places, gid);
  const aside = () => join(places.releases, `.v${number}.partial-${randomUUID()}`);
  const [partial, scratch, directory] = [aside(), aside(), places.release(number)];
  const held = runtimes.hold();
  try {
    const looking = prepare(source, content, runtimes, builder.say);
    const preparation = await unlessAborted(builder.signal, looking);
    const cache = new DependencyCache(places.cache);
    const place = { app: places.app, number, directory, scratch, modes: modesFor(gid), builder, cache };
    const sent = { source, content, place, preparation, newest: numbers.at(-1) };
    const made = await makeTree(places, partial, sent);
    await rename(partial, directory);
    const entries = made.isWork ? await compile(place, preparation, made, made.installed) : made.entries;
    const plan = await planOf(directory, places.incoming, preparation);
    const release = describe(places.app, number, { ...request, entries, plan, source, preparation });
    const stored = keep(places, request, release, entries, source).finally(() => held[Symbol.dispose]());
    stored.catch(() => {}); // Whoever made it awaits it too, but perhaps later than it fails.
    return { release, stored };
  } catch (error) {
    held[Symbol.dispose]();
    await discard(partial, directory);
    throw error;
  } finally {
    await discard(scratch);
  }
}

async function planOf(
  directory: string,
  shownAs: string,
  { recipes, node }: Preparation,
): Promise<ReleasePlan> {
  const plan = await detect(directory, shownAs);
  return {
    ...plan,
    ...(node === null ? {} : { node: node.version }),
    notes: [...plan.notes, ...recipes.flatMap(({ notes }) => notes)],
  };
}

type Made = Tree & { installed: Installed; isWork: boolean };

/** What was sent, and what was installed for the same before: as links, unless programs are going to write to it. */
async function makeTree(
  places: Places,
  partial: string,
  {
    source,
    content,
    place,
    preparation,
    newest,
  }: Sent & {
    place: Workplace;
    preparation: Preparation;
    newest: number | undefined;
  },
): Promise<Made> {
  const { modes, cache } = place;
  const { recipes } = preparation;
  const installed = await Promise.all(
    recipes.map(({ key, install }) => (install.length > 0 ? cache.find(key, modes.gid) : null)),
  );
  const shared = !isWork(preparation, installed);
  const base = await findBase(places, newest, modes.gid);
  const paths = new Set(source.entries.map(({ path }) => path));
  const dependencies = installed.flatMap((some) =>
    some === null ? [] : [{ ...some, entries: some.entries.filter(({ path }) => !paths.has(path)) }],
  );
  const added = dependencies.flatMap(({ entries }) => entries);
  const wanted = [...source.entries, ...added];
  const there = shared ? await beginTree(places, partial, base, wanted, content.pace) : null;
  if (there === null) makeDirectory(partial, modes);
  const filling = { shared, there: there ?? new Map<string, Entry>() };
  const sent = await fillTree(partial, { source, content, base, modes, ...filling });
  for (const some of dependencies) await placeAll(some, partial, modes, filling);
  refuseChanged(source, preparation);
  const originals = [...(base ? originalsIn(base) : []), ...dependencies.flatMap(originalsIn)];
  return {
    entries: [...sent, ...added].sort(byPath),
    originals: new Map(originals.map((original) => [original.path, original])),
    installed,
    isWork: !shared,
  };
}

/** The tree that was made ahead, without what is not wanted; answers what is in it. Null where there is none. */
async function beginTree(
  places: Places,
  partial: string,
  base: Base | null,
  wanted: readonly (SourceEntry | Entry)[],
  pace: Pace,
): Promise<ReadonlyMap<string, Entry> | null> {
  if (base === null || !(await takeStaged(places, base.number, partial))) return null;
  return keepWanted(partial, base, new Map(wanted.map((entry) => [entry.path, entry])), pace);
}

/** How it is built was decided by what was in incoming/ a moment ago. */
function refuseChanged({ entries }: SourceTree, { seen }: Preparation): void {
  for (const file of entries.filter(isFile)) {
    const before = seen.get(file.path);
    if (before !== undefined && before !== file.digest) throw changedMeanwhile(file.path);
  }
}

/** For what has to be built where nobody builds. */
const nobody: Builder = {
  user: null,
  run: async ({ title }) => {
    throw new Error(`nobody is there to do it: ${title}`);
  },
  say: () => {},
  signal: new AbortController().signal,
};

async function keep(
  places: Places,
  { gid, latest }: MakeRequest,
  release: Release,
  entries: readonly Entry[],
  source: SourceTree,
): Promise<void> {
  try {
    await store(places, release, entries, gid);
    await rememberDigests(places.incomingIndex, source.entries, source.readAtMs);
  } catch (error) {
    throw makeFailure(error, places.app, places.releases, latest);
  }
}

/** The newest release: the likeliest to have the same files. Files of another group cannot be shared. */
async function findBase(
  places: Places,
  number: number | undefined,
  gid: number | null,
): Promise<Base | null> {
  const manifest = number === undefined ? null : await readManifest(places.manifest(number));
  if (number === undefined || manifest?.gid !== gid) return null;
  const files = manifest.entries.flatMap((entry) =>
    entry.kind === "file" ? [[entry.path, entry] as const] : [],
  );
  return { number, directory: places.release(number), entries: manifest.entries, files: new Map(files) };
}

type Facts = Pick<MakeRequest, "config" | "origin" | "now"> & {
  entries: readonly Entry[];
  plan: ReleasePlan;
  source: SourceTree;
  preparation: Preparation;
};

function describe(
  app: string,
  number: number,
  { entries, plan, source, preparation, ...facts }: Facts,
): Release {
  const { config = null, origin, now = new Date() } = facts;
  const { recipes, runtimes } = preparation;
  const files = entries.filter((entry) => entry.kind === "file");
  return {
    v: 1,
    app,
    number,
    checksum: checksumOf(entries),
    ...(recipes.length > 0 ? { sent: checksumOf(source.entries.filter(isRead)) } : {}),
    ...(runtimes.length > 0 ? { runtimes: [...runtimes] } : {}),
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    createdAt: now.toISOString(),
    plan,
    config,
    ...(origin ? { origin } : {}),
  };
}
