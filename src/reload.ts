import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import type { ReloadReport } from "./app/reports.ts";
import type { Config } from "./config.ts";
import { OtherAddressesError, type Workers } from "./control/workers.ts";
import { MaestroError } from "./errors.ts";
import { ownVersion, packageDirectory } from "./lib/own-version.ts";
import { CheckReport } from "./protocol/reload.ts";

/** How long the new version may take to check itself, ms. */
const checkMs = 60_000;

const shell = "/bin/sh";

/** What this process becomes: the installed Maestro's launcher, with the words that this one was started with. */
export type NextVersion = { launcher: string; words: readonly string[] };

/**
 * The first half of a reload: the version that is installed now checks itself, then every worker is replaced by one of
 * it. After that nothing is left of this version but the controller. Throws `RELOAD_FAILED`; this version then goes on.
 */
export async function prepareReload(
  workers: Workers,
  { startedAt, rpc }: { startedAt: string; rpc: string },
  config: Config,
): Promise<{ next: NextVersion; report: ReloadReport }> {
  // Where any free port was asked for, the one that it became stays. The workers keep theirs as well.
  const samePort = config.rpc.port === 0 ? ["--rpc", rpc] : [];
  const next: NextVersion = { launcher: findLauncher(), words: [...process.argv.slice(2), ...samePort] };
  const checked = await checkNext(next);
  try {
    await workers.roll(checked.workers);
  } catch (cause) {
    if (cause instanceof OtherAddressesError) throw otherAddresses(cause);
    const { message } = cause as Error;
    const what = `a proxy worker of version ${checked.version} did not come up: ${message}`;
    throw new MaestroError("RELOAD_FAILED", `${what}; the ones that run go on`, {}, { cause });
  }
  const report = {
    from: ownVersion,
    to: checked.version,
    pid: process.pid,
    startedAt,
    workers: checked.workers.count,
    instances: checked.instances,
  };
  return { next, report };
}

/**
 * The second half: this process becomes the next version, by execve(2): the same pid, the same standard output. What it
 * held is given up; what it has to know is on disk.
 */
export function become({ launcher, words }: NextVersion): never {
  // A signal that comes from now on would be noted and never heard of. Without listeners it ends this process.
  for (const signal of ["SIGINT", "SIGTERM"]) process.removeAllListeners(signal);
  process.execve?.(shell, [shell, launcher, ...words], process.env);
  throw new Error("this Node cannot replace its process");
}

function otherAddresses(cause: Error): MaestroError {
  const message =
    "the settings ask for other addresses for HTTP than those that are served, which a reload cannot change; end the controller with SIGTERM and start it again";
  return new MaestroError("RELOAD_FAILED", message, {}, { cause });
}

/** bin/maestro of the package: it finds the Node that the installed version brings along. */
function findLauncher(): string {
  const launcher = join(packageDirectory, "bin", "maestro");
  if (existsSync(launcher)) return launcher;
  throw new MaestroError(
    "RELOAD_FAILED",
    `no Maestro is installed at ${launcher} any more; install it again`,
    {
      launcher,
    },
  );
}

const Failure = z.object({ error: z.object({ message: z.string() }) });

async function checkNext({ launcher, words }: NextVersion): Promise<CheckReport> {
  const child = promisify(execFile)(shell, [launcher, ...words, "--check", "--json"], { timeout: checkMs });
  const { stdout, stderr } = await child.catch((error: { stdout?: string; stderr?: string }) => error);
  const answer = parse(stdout ?? "");
  const report = CheckReport.safeParse(answer);
  if (report.success) return report.data;
  const why = Failure.safeParse(answer).data?.error.message ?? lastLineOf(stderr ?? "") ?? "it said nothing";
  throw new MaestroError(
    "RELOAD_FAILED",
    `the installed version cannot take over, and version ${ownVersion} goes on: ${why}`,
    { launcher },
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // It failed before it could say so in this form.
  }
}

/** Node ends a stack with its version; what went wrong stands in the line with "Error:". */
function lastLineOf(text: string): string | undefined {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /\bError\b.*:/.test(line)) ?? lines.at(-1);
}
