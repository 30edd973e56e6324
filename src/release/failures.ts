import { isSystemError, MaestroError } from "../errors.ts";

/** Something in the code cannot be in a release. Quoted as JSON, because the name may be what is wrong with it. */
export function refusal(path: string, what: string): MaestroError {
  return new MaestroError(
    "BAD_INPUT",
    `${JSON.stringify(path)} ${what}, and cannot be in a release; leave it out`,
    { path },
  );
}

/** A file is no more what it was a moment ago: somebody is still sending. */
export function changedMeanwhile(path: string): MaestroError {
  return new MaestroError(
    "BAD_INPUT",
    `${JSON.stringify(path)} changed while it was being read; restart when all of the code has arrived`,
    { path },
  );
}

/** What a system error means for the person who deploys, by its code (errno(3)). */
const meanings: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full (or out of inodes); free some space",
  EDQUOT: "the disk quota is used up; free some space",
  EROFS: "the file system is read-only; check the disk",
  EACCES: "Maestro may not read or write it; check its owner and mode",
  EPERM: "Maestro may not read or write it; check its owner and mode",
  EMFILE: "Maestro has too many open files; raise its limit (ulimit -n)",
  ENFILE: "the machine has too many open files; raise fs.file-max",
  ENAMETOOLONG: "a path is too long; shorten it",
  EIO: "the disk gives errors; check it",
};

/** Why a release could not be made, where, and that what serves now is as it was. */
export function makeFailure(error: unknown, app: string, where: string, latest: number | null): unknown {
  if (error instanceof MaestroError || !isSystemError(error)) return error;
  const { code = "", path: at = where } = error;
  // A descriptor's path says nothing to a person.
  const path = at.startsWith("/proc/self/") ? where : at;
  const goesOn = latest === null ? "nothing was changed" : `v${latest} goes on as it was`;
  return new MaestroError(
    "INTERNAL",
    `no release of ${app} could be made: ${path}: ${meanings[code] ?? error.message}; ${goesOn}`,
    { app, path, code },
    { cause: error },
  );
}
