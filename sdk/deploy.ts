import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { normalizeMount } from "../src/app/mount.ts";
import type { DeployProgress, DeployReport } from "../src/app/reports.ts";
import { isSystemError, MaestroError } from "../src/errors.ts";
import { appNameOf } from "./app-name.ts";
import { type CopyOptions, type CopyProgress, type CopyReport, copyTree, refuseOldRsync } from "./copy.ts";
import { filterRules } from "./ignore.ts";
import type { Session } from "./operations.ts";
import type { SshHost } from "./ssh.ts";

/** The steps of the server, and before them the sending of the files. */
export type DeployStep = Omit<DeployProgress, "step"> & {
  step: DeployProgress["step"] | "send";
  /** How far the sending to another machine is: told again and again while it goes on. */
  sent?: CopyProgress;
};

export type DeployOptions = {
  /** The app's directory. Default: the working directory. */
  directory?: string;
  /** Default: `name` of its package.json, else the name of the directory. */
  app?: string | undefined;
  /** Hostnames that the app shall have, besides those that it has. */
  hostnames?: readonly string[];
  /** What is sent although it is left out otherwise: ".env", "node_modules", "data/fixtures". */
  include?: readonly string[];
  /** While another deploy of the app is under way: wait for it instead of failing with `BUSY`. */
  wait?: boolean;
  /** What `connect` gave, or one that is still being opened; it stays open. */
  client: Session;
  onProgress?: ((step: DeployStep) => void) | undefined;
  /** Ends the sending; once the restart was asked for it ends only the waiting, and the server goes on. */
  signal?: AbortSignal;
};

const renewMs = 20_000;

/**
 * Sends a directory to the server, on this machine or by SSH, and restarts its app; resolves when the new code serves.
 * Throws `BAD_INPUT` for a directory, name or hostname that cannot be, and whatever the restart answers.
 */
export async function deploy(options: DeployOptions): Promise<DeployReport> {
  const { client, include = [], onProgress = () => {}, signal, wait = false } = options;
  const directory = await existingDirectory(options.directory ?? ".");
  const app = await appNameOf(directory, options.app);
  const hostnames = (options.hostnames ?? []).map(checkedHostname);
  if (client.ssh) await refuseOldRsync();
  // By the time that somebody has waited for his turn they may have changed.
  const rules = wait ? undefined : await filterRules(directory, include);
  await client.opened; // What is wrong here has been told by now, and ssh asks no more.
  const abortable = signal === undefined ? {} : { signal };

  await send(app, directory, { ...options, rules });
  const input = {
    app,
    sent: true,
    ...(hostnames.length > 0 ? { hostnames } : {}),
    ...(wait ? { wait } : {}),
  };
  return client.call("restart", input, { onProgress, ...abortable });
}

/** `rules`: what `filterRules` gave before there was a session. */
type Sending = DeployOptions & { rules: CopyOptions["rules"] | undefined };

async function send(
  app: string,
  directory: string,
  { client, wait, include = [], onProgress, signal, ...known }: Sending,
): Promise<void> {
  const began = performance.now();
  onProgress?.({ step: "send", state: "began" });
  const { path } = await client.call("incoming", { app, sending: true, ...(wait ? { wait } : {}) });
  // Says again that it is still at it: a turn that is not used any more ends.
  const renewal = setInterval(() => void client.call("incoming", { app }).catch(() => {}), renewMs);
  let copied: CopyReport;
  try {
    const rules = known.rules ?? (await filterRules(directory, include));
    copied = client.ssh
      ? await copyBySsh(directory, client.ssh.rsyncTarget(app), { rules, onProgress, signal })
      : await copyHere(directory, path, { rules, signal });
  } finally {
    clearInterval(renewal);
  }
  const tookMs = Math.round(performance.now() - began);
  onProgress?.({ step: "send", state: "done", detail: describe(copied), tookMs });
}

type Copying = Pick<CopyOptions, "rules" | "signal">;

async function copyHere(directory: string, path: string, copying: Copying): Promise<CopyReport> {
  await refuseUnfitTarget(path, directory);
  return copyTree(directory, path, copying);
}

async function copyBySsh(
  directory: string,
  { shell, destination }: ReturnType<SshHost["rsyncTarget"]>,
  { onProgress, ...copying }: Copying & { onProgress: DeployOptions["onProgress"] },
): Promise<CopyReport> {
  return copyTree(directory, destination, {
    remote: { shell },
    ...copying,
    onProgress: (sent) => onProgress?.({ step: "send", state: "began", sent }),
  });
}

function describe({ changed, deleted }: CopyReport): string {
  const files =
    changed === 0 ? "nothing new" : `${changed} new or changed ${changed === 1 ? "file" : "files"}`;
  return deleted === 0 ? files : `${files}, ${deleted} removed`;
}

function checkedHostname(text: string): string {
  const hostname = normalizeMount(text);
  if (hostname !== null) return hostname;
  throw new MaestroError(
    "BAD_INPUT",
    `"${text}" is not a DNS hostname, nor one with a plain path behind it`,
    { hostname: text },
  );
}

async function existingDirectory(given: string): Promise<string> {
  const directory = resolve(given);
  try {
    if ((await stat(directory)).isDirectory()) return await realpath(directory);
  } catch (error) {
    if (!isSystemError(error, "ENOENT", "ENOTDIR")) throw error;
    throw new MaestroError(
      "BAD_INPUT",
      `there is no directory ${directory}`,
      { directory },
      { cause: error },
    );
  }
  throw new MaestroError("BAD_INPUT", `${directory} is not a directory; name the one that holds the app`, {
    directory,
  });
}

async function refuseUnfitTarget(path: string, directory: string): Promise<void> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (!isSystemError(error, "ENOENT", "EACCES", "EPERM", "EROFS", "ENOTDIR")) throw error;
    const why =
      error.code === "ENOENT" || error.code === "ENOTDIR"
        ? "is not on this machine"
        : "may not be written by you";
    throw new MaestroError(
      "BAD_INPUT",
      `${path}, where the server expects the files, ${why}; deploy on the server's machine, as the user who runs Maestro`,
      { path },
      { cause: error },
    );
  }
  const target = await realpath(path);
  // A home in the project itself (`--home ./.maestro`) is the one place inside it that is never sent.
  if (target.startsWith(`${directory}${sep}.maestro${sep}`)) return;
  if (
    !`${target}${sep}`.startsWith(`${directory}${sep}`) &&
    !`${directory}${sep}`.startsWith(`${target}${sep}`)
  )
    return;
  throw new MaestroError(
    "BAD_INPUT",
    `${directory} and ${path}, where the server expects the files, lie in each other; deploy a directory outside of Maestro's home`,
    { directory, path },
  );
}
