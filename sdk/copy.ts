import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { isSystemError, MaestroError } from "../src/errors.ts";
import { partialDirectory, type RemoteShell, rsyncArguments } from "./rsync-arguments.ts";
import { type CopyProgress, type CopyReport, RsyncOutput } from "./rsync-output.ts";

export { rsyncArguments } from "./rsync-arguments.ts";
export type { CopyProgress, CopyReport } from "./rsync-output.ts";

export type CopyOptions = {
  /** For a destination of another machine. */
  remote?: RemoteShell;
  onProgress?: (progress: CopyProgress) => void;
  signal?: AbortSignal | undefined;
  /** What is left out and what is not, as `filterRules` gives it. */
  rules: readonly string[];
};

/**
 * Makes `destination` hold what `source`, an absolute directory of this machine, holds, without what is ignored.
 * Throws `INTERNAL` when there is no rsync or when it fails.
 */
export async function copyTree(
  source: string,
  destination: string,
  { remote, onProgress, signal, rules }: CopyOptions,
): Promise<CopyReport> {
  const rsync = spawn("rsync", rsyncArguments(source, destination, remote), {
    env: { ...process.env, LC_ALL: "C" },
    ...(signal === undefined ? {} : { signal }),
  });
  // A rsync that ended early breaks this pipe; how it ended is told below.
  rsync.stdin.on("error", () => {});
  rsync.stdin.end(`${[...(remote ? [keepPartial] : []), ...rules].join("\n")}\n`);
  const output = new RsyncOutput(onProgress);
  rsync.stdout.setEncoding("utf8").on("data", (text: string) => output.push(text));
  const complaints = lastComplaints(rsync);
  await ended(rsync, complaints, remote !== undefined);
  return output.report;
}

/** What was sent of a file is not deleted because it is of no file: see `P` in FILTER RULES of rsync(1). */
const keepPartial = `P ${partialDirectory}/`;

const run = promisify(execFile);

/** The first with `--info`, of 2013. macOS brings 2.6.9 of 2006, or openrsync, which has neither that nor other things. */
const leastVersion = 3.1;

/** Throws `BAD_INPUT` when the rsync of this machine cannot copy to another one. */
export async function refuseOldRsync(): Promise<void> {
  let said: string;
  try {
    said = (await run("rsync", ["--version"])).stdout;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) throw noRsync(error);
    said = "";
  }
  const version = /^rsync\s+version\s+v?(\d+\.\d+)/.exec(said)?.[1];
  if (version !== undefined && Number(version) >= leastVersion) return;
  throw new MaestroError(
    "BAD_INPUT",
    `the rsync of this machine (${said.split("\n")[0]?.trim() || "of no known version"}) is too old to deploy with; it takes ${leastVersion} or later: \`brew install rsync\` on macOS, else the package rsync`,
    { found: said.split("\n")[0] },
  );
}

function lastComplaints(rsync: ChildProcessWithoutNullStreams): string[] {
  const lines: string[] = [];
  createInterface({ input: rsync.stderr }).on("line", (line) => {
    if (line.trim() === "") return;
    lines.push(line);
    if (lines.length > 10) lines.shift();
  });
  return lines;
}

/** 24: a file went away while it was being copied, which editors do all the time. */
const harmlessExitCodes = new Set([0, 24]);
/** The other side is gone: see EXIT VALUES of rsync(1); 255 is ssh's. */
const cutOffExitCodes = new Set([10, 12, 20, 30, 35, 255]);

async function ended(
  rsync: ChildProcessWithoutNullStreams,
  complaints: readonly string[],
  isRemote: boolean,
): Promise<void> {
  let code: unknown;
  try {
    [code] = await once(rsync, "close");
  } catch (error) {
    throw isSystemError(error, "ENOENT") ? noRsync(error) : error;
  }
  if (harmlessExitCodes.has(Number(code ?? -1))) return;
  const details = { exitCode: code, lastLines: [...complaints] };
  // What the gate of the server says is said in full; what rsync makes of it tells nobody anything.
  const refusal = complaints.find((line) => line.startsWith("maestro: "))?.replace(/^maestro: /, "");
  if (refusal !== undefined) throw new MaestroError("UNAUTHORIZED", refusal, { exitCode: code });
  const why = complaints[0] ?? `it ended with ${code}`;
  throw new MaestroError(
    "INTERNAL",
    isRemote && cutOffExitCodes.has(Number(code ?? 255))
      ? `the connection was cut while the files were being sent (${why}); nothing was restarted: deploy again, it goes on where it was`
      : `rsync could not send the files: ${why}`,
    details,
  );
}

const noRsync = (cause: unknown) =>
  new MaestroError(
    "INTERNAL",
    "rsync is not installed, so the files cannot be sent; install the package rsync (apt-get install rsync)",
    {},
    { cause },
  );
