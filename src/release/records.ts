import { readFile } from "node:fs/promises";
import { Release } from "../app/release.ts";
import { isSystemError, MaestroError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { namesIn } from "../lib/directory.ts";
import type { Places } from "./places.ts";

/** A release whose record cannot be used, and why, for people. */
export type UnreadableRelease = { number: number; problem: string };

/** Throws `BAD_INPUT` when there is no such release, `INTERNAL` when its record does not parse. */
export async function readRecord(places: Places, number: number): Promise<Release> {
  const path = places.record(number);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw isSystemError(error, "ENOENT") ? await noSuchRelease(places, number) : error;
  }
  const release = parseRecord(text);
  if (release?.app === places.app && release.number === number) return release;
  throw new MaestroError("INTERNAL", `${path} does not describe v${number} of ${places.app}; deploy again`, {
    app: places.app,
    release: number,
    path,
  });
}

export async function writeRecord(places: Places, release: Release): Promise<void> {
  await writeAtomic(places.record(release.number), `${JSON.stringify(release, null, 2)}\n`);
}

/** Every release of an app, oldest first; one whose record cannot be used is reported, not thrown. */
export async function listRecords(places: Places): Promise<(Release | UnreadableRelease)[]> {
  const numbers = await releaseNumbers(places);
  return Promise.all(
    numbers.map(async (number) => {
      try {
        return await readRecord(places, number);
      } catch (error) {
        return { number, problem: (error as Error).message };
      }
    }),
  );
}

/** The numbers of all releases that have left a trace, records or files, in rising order. */
export async function releaseNumbers(places: Places): Promise<number[]> {
  const names = [...(await namesIn(places.state)), ...(await namesIn(places.releases))];
  const numbers = names.flatMap((name) => {
    const match = /^v([1-9]\d{0,8})(\.json|\.manifest\.json)?$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  return [...new Set(numbers)].sort((one, other) => one - other);
}

function parseRecord(text: string): Release | null {
  try {
    return Release.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null; // not JSON: the caller says so
  }
}

async function noSuchRelease(places: Places, number: number): Promise<MaestroError> {
  const numbers = (await releaseNumbers(places)).filter((other) => other !== number);
  const there = numbers.length === 0 ? "none" : numbers.map((other) => `v${other}`).join(", ");
  return new MaestroError("BAD_INPUT", `${places.app} has no release v${number}; it has ${there}`, {
    app: places.app,
    release: number,
    releases: numbers,
  });
}
