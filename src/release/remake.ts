import { randomUUID } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import type { Release } from "../app/release.ts";
import { MaestroError } from "../errors.ts";
import { makeFailure } from "./failures.ts";
import { discard, store } from "./finish.ts";
import { prepareReleases } from "./incoming.ts";
import type { MadeRelease, MakeRequest } from "./make.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import type { Places } from "./places.ts";
import { readRecord, releaseNumbers } from "./records.ts";
import { linkTree, takeStaged } from "./staging.ts";

/** `of`: the release whose files it has. */
export type RemakeRequest = Omit<MakeRequest, "latest" | "builder"> & { of: number };

/**
 * The files of an earlier release as a new one, for another config. It has a tree of its own like any release, which
 * shares every file, so that each of the two can go without the other. Where the next tree was made ahead it is only
 * given its name.
 *
 * Throws as `makeRelease`, and `BAD_INPUT` when there is no such release.
 */
export async function remakeRelease(places: Places, request: RemakeRequest): Promise<MadeRelease> {
  const { of, gid, config, origin, now = new Date() } = request;
  try {
    const { plan, checksum, files, bytes, sent, runtimes } = await readRecord(places, of);
    const manifest = await readManifest(places.manifest(of));
    if (manifest === null) throw unknownFiles(places, of);
    const numbers = await releaseNumbers(places);
    const number = Math.max(numbers.at(-1) ?? 0, request.above) + 1;
    await prepareReleases(places, gid);
    await makeTree(places, { of, number, isNewest: numbers.at(-1) === of }, manifest);
    const facts = { v: 1, app: places.app, number, checksum, files, bytes, plan } as const;
    const release: Release = {
      ...facts,
      createdAt: now.toISOString(),
      config: config ?? null,
      ...(sent === undefined ? {} : { sent }),
      ...(runtimes === undefined ? {} : { runtimes }),
      ...(origin ? { origin } : {}),
    };
    const stored = store(places, release, manifest.entries, manifest.gid).catch((error: unknown) => {
      throw makeFailure(error, places.app, places.releases, of);
    });
    stored.catch(() => {}); // Whoever made it awaits it too, but perhaps later than it fails.
    return { release, fresh: true, stored };
  } catch (error) {
    throw makeFailure(error, places.app, places.releases, of);
  }
}

/** Built aside, then named. */
async function makeTree(
  places: Places,
  { of, number, isNewest }: { of: number; number: number; isNewest: boolean },
  { entries, gid }: Manifest,
): Promise<void> {
  const partial = join(places.releases, `.v${number}.partial-${randomUUID()}`);
  try {
    const wasMadeAhead = isNewest && (await takeStaged(places, of, partial));
    if (!wasMadeAhead) await linkTree(places.release(of), partial, entries, gid);
    await rename(partial, places.release(number));
  } catch (error) {
    await discard(partial);
    throw error;
  }
}

const unknownFiles = ({ app, manifest }: Places, of: number) =>
  new MaestroError(
    "INTERNAL",
    `${manifest(of)}, which lists the files of v${of} of ${app}, is not there or was damaged; deploy ${app} again`,
    { app, release: of, path: manifest(of) },
  );
