import { randomUUID } from "node:crypto";
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Origin, Release, ReleasePlan } from "../app/release.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { type Base, type BuildRequest, buildTree } from "./build.ts";
import { Content } from "./content.ts";
import { detect } from "./detect.ts";
import { makeFailure } from "./failures.ts";
import { discard, store } from "./finish.ts";
import { prepareReleases } from "./incoming.ts";
import { recallDigests, rememberDigests } from "./incoming-index.ts";
import { readManifest } from "./manifest.ts";
import { modesFor } from "./modes.ts";
import { Pace } from "./pace.ts";
import type { Places } from "./places.ts";
import { readRecord, releaseNumbers } from "./records.ts";
import { changeTree, takeStaged } from "./staging.ts";
import { checksumOf, type Entry, isFile, isRead } from "./tree.ts";
import { type SourceTree, walk } from "./walk.ts";

/** What the directory of a release is called while it is not finished: `.vN.partial-ID`. */
export const isPartial = (name: string) => /^\.v\d+\.partial-/.test(name);

/**
 * `gid`: the group that may read the release; null: everyone. `latest`: the release to compare with. `above`: the
 * highest number that was ever given, also to a release of which nothing is left. `config`: the version of the app's
 * config that it shall have.
 */
export type MakeRequest = {
  app: string;
  gid: number | null;
  latest: number | null;
  above: number;
  config?: number | null;
  origin?: Origin;
  now?: Date;
};
/**
 * `stored` resolves when the release would survive a power cut, and rejects (with nothing left of it) when it cannot
 * be kept. It may be started before; nothing may point to it before.
 */
export type MadeRelease = { release: Release; fresh: boolean; stored: Promise<void> };

/**
 * What lies in `incoming/`, as an immutable release. The same content and config as release `latest` is that release
 * again.
 * When this fails nothing is changed; when the power fails, there is a whole new release afterwards or none.
 *
 * Throws `NOTHING_TO_RUN`, `BAD_INPUT`, and `INTERNAL` for a disk that is full, read-only or unreadable.
 */
export async function makeRelease(places: Places, request: MakeRequest): Promise<MadeRelease> {
  try {
    const pace = new Pace();
    const source = await readIncoming(places, pace);
    const content = new Content(source.root, pace);
    const unchanged = await findUnchanged(places, request, source, content);
    if (unchanged !== null) return { release: unchanged, fresh: false, stored: Promise.resolve() };
    return { fresh: true, ...(await makeFresh(places, request, source, content)) };
  } catch (error) {
    throw makeFailure(error, places.app, places.releases, request.latest);
  }
}

async function readIncoming(places: Places, pace: Pace): Promise<SourceTree> {
  let source: SourceTree;
  try {
    source = await walk(places.incoming, pace);
  } catch (error) {
    throw isSystemError(error, "ENOENT") ? nothingSent(places) : error;
  }
  if (source.entries.length === 0) throw nothingSent(places);
  await recallDigests(places.incomingIndex, source.entries);
  return source;
}

/** The release `latest`, when `incoming/` holds the same; null when it does not, or when that one is of no use. */
async function findUnchanged(
  places: Places,
  { latest, gid, config = null }: MakeRequest,
  source: SourceTree,
  content: Content,
): Promise<Release | null> {
  const release = latest === null ? null : await findUsable(places, latest, gid);
  if (release === null || (release.config ?? null) !== config) return null;
  const unread = source.entries.filter(isFile).filter(({ digest }) => digest === null);
  for (const file of unread) file.digest = await content.digest(file);
  if (checksumOf(source.entries.filter(isRead)) !== release.checksum) return null;
  if (unread.length > 0) await rememberDigests(places.incomingIndex, source.entries, source.readAtMs);
  return release;
}

async function findUsable(places: Places, number: number, gid: number | null): Promise<Release | null> {
  try {
    const release = await readRecord(places, number);
    const directory = await stat(places.release(number));
    const isReadable = gid === null || directory.gid === gid;
    return directory.isDirectory() && isReadable ? release : null;
  } catch (error) {
    // Damaged or removed by hand: the remedy for both is a new release.
    if (error instanceof MaestroError || isSystemError(error, "ENOENT")) return null;
    throw error;
  }
}

/** Built aside, then named. */
async function makeFresh(
  places: Places,
  request: MakeRequest,
  source: SourceTree,
  content: Content,
): Promise<Pick<MadeRelease, "release" | "stored">> {
  const { gid } = request;
  const numbers = await releaseNumbers(places);
  const number = Math.max(numbers.at(-1) ?? 0, request.above) + 1;
  await prepareReleases(places, gid);
  const partial = join(places.releases, `.v${number}.partial-${randomUUID()}`);
  try {
    const base = await findBase(places, numbers.at(-1), gid);
    const entries = await fillTree(places, partial, base, { source, content, modes: modesFor(gid) });
    const plan = await detect(partial, places.incoming);
    await rename(partial, places.release(number));
    const release = describe(places.app, number, entries, plan, request);
    const stored = keep(places, request, release, entries, source);
    stored.catch(() => {}); // Whoever made it awaits it too, but perhaps later than it fails.
    return { release, stored };
  } catch (error) {
    await discard(partial);
    throw error;
  }
}

/** From the tree that was made ahead, where there is one; else anew. */
async function fillTree(
  places: Places,
  partial: string,
  base: Base | null,
  request: Omit<BuildRequest, "base">,
): Promise<Entry[]> {
  if (base && (await takeStaged(places, base.number, partial))) return changeTree(partial, base, request);
  return buildTree(partial, { ...request, base });
}

async function keep(
  places: Places,
  { gid, latest }: MakeRequest,
  release: Release,
  entries: Entry[],
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

function describe(
  app: string,
  number: number,
  entries: Entry[],
  plan: ReleasePlan,
  { config = null, origin, now = new Date() }: MakeRequest,
): Release {
  const files = entries.filter((entry) => entry.kind === "file");
  return {
    v: 1,
    app,
    number,
    checksum: checksumOf(entries),
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    createdAt: now.toISOString(),
    plan,
    config,
    ...(origin ? { origin } : {}),
  };
}

const nothingSent = ({ app, incoming }: Places) =>
  new MaestroError(
    "NOTHING_TO_RUN",
    `nothing was sent for ${app} yet: ${incoming} is empty; deploy its code`,
    {
      app,
      directory: incoming,
    },
  );
