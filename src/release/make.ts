import { stat } from "node:fs/promises";
import type { Builder } from "../app/build.ts";
import type { Origin, Release } from "../app/release.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { Content } from "./content.ts";
import { makeFailure } from "./failures.ts";
import { makeFresh } from "./fresh.ts";
import { recallDigests, rememberDigests } from "./incoming-index.ts";
import { Pace } from "./pace.ts";
import type { Places } from "./places.ts";
import { readRecord } from "./records.ts";
import type { Runtimes } from "./runtimes/runtimes.ts";
import { checksumOf, isFile, isRead } from "./tree.ts";
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
  /** Who builds what has to be built. */
  builder?: Builder;
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
export async function makeRelease(
  places: Places,
  runtimes: Runtimes,
  request: MakeRequest,
): Promise<MadeRelease> {
  try {
    const pace = new Pace();
    const source = await readIncoming(places, pace);
    const content = new Content(source.root, pace);
    const unchanged = await findUnchanged(places, request, source, content);
    if (unchanged !== null) return { release: unchanged, fresh: false, stored: Promise.resolve() };
    return { fresh: true, ...(await makeFresh(places, runtimes, request, { source, content })) };
  } catch (error) {
    throw makeFailure(error, places.app, places.releases, request.latest);
  }
}

/** What was sent, and who reads it. */
export type Sent = { source: SourceTree; content: Content };

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
  if (checksumOf(source.entries.filter(isRead)) !== (release.sent ?? release.checksum)) return null;
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

const nothingSent = ({ app, incoming }: Places) =>
  new MaestroError(
    "NOTHING_TO_RUN",
    `nothing was sent for ${app} yet: ${incoming} is empty; deploy its code`,
    {
      app,
      directory: incoming,
    },
  );
