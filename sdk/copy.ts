import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { isSystemError, MaestroError } from "../src/errors.ts";
import { filterRules } from "./ignore.ts";

/** How many files were sent because they are new or changed, and how many entries went because they are no more. */
export type CopyReport = { changed: number; deleted: number };

/**
 * Makes `destination` hold what `source` holds, without what is ignored. Both are absolute directories of this
 * machine. Throws `INTERNAL` when there is no rsync or when it fails.
 */
export async function copyTree(
  source: string,
  destination: string,
  signal?: AbortSignal,
): Promise<CopyReport> {
  const rules = await filterRules(source);
  const rsync = spawn("rsync", rsyncArguments(source, destination), {
    env: { ...process.env, LC_ALL: "C" },
    ...(signal === undefined ? {} : { signal }),
  });
  // A rsync that ended early breaks this pipe; how it ended is told below.
  rsync.stdin.on("error", () => {});
  rsync.stdin.end(`${rules.join("\n")}\n`);
  const report = countChanges(rsync);
  const complaints = lastComplaints(rsync);
  await ended(rsync, complaints);
  return report;
}

/**
 * Like `--archive`, but without owner and group (they are the server's affair) and without devices, sockets and
 * FIFOs (an app's files are files). `--delete-excluded`: what came to be ignored later does not stay behind.
 * The rules come on standard input, so that no length or character of them matters.
 */
export function rsyncArguments(source: string, destination: string): string[] {
  return [
    "--recursive",
    "--links",
    "--perms",
    "--times",
    "--delete",
    "--delete-excluded",
    "--out-format=%i %n",
    "--filter=merge -",
    "--",
    // The slash at the end means the content of the directory, not the directory.
    `${source.replace(/\/+$/, "")}/`,
    `${destination.replace(/\/+$/, "")}/`,
  ];
}

function countChanges(rsync: ChildProcessWithoutNullStreams): CopyReport {
  const report = { changed: 0, deleted: 0 };
  createInterface({ input: rsync.stdout }).on("line", (line) => {
    // Names of directories end with a slash; only files count.
    if (line.startsWith("*deleting")) report.deleted += line.endsWith("/") ? 0 : 1;
    else if (/^[<>ch][fL]/.test(line)) report.changed += 1;
  });
  return report;
}

function lastComplaints(rsync: ChildProcessWithoutNullStreams): string[] {
  const lines: string[] = [];
  createInterface({ input: rsync.stderr }).on("line", (line) => {
    lines.push(line);
    if (lines.length > 10) lines.shift();
  });
  return lines;
}

/** 24: a file went away while it was being copied, which editors do all the time. */
const harmlessExitCodes = new Set([0, 24]);

async function ended(rsync: ChildProcessWithoutNullStreams, complaints: readonly string[]): Promise<void> {
  let code: unknown;
  try {
    [code] = await once(rsync, "close");
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
    throw new MaestroError(
      "INTERNAL",
      "rsync is not installed, so the files cannot be sent; install the package rsync (apt-get install rsync)",
      {},
      { cause: error },
    );
  }
  if (harmlessExitCodes.has(Number(code ?? -1))) return;
  throw new MaestroError(
    "INTERNAL",
    `rsync could not send the files: ${complaints[0] ?? `it ended with ${code}`}`,
    {
      exitCode: code,
      lastLines: [...complaints],
    },
  );
}
