import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { OneOffProgram, OneOffSpec } from "../../app/one-off.ts";
import { isSystemError, MaestroError } from "../../errors.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import type { Host } from "../host.ts";
import { openStorage } from "../launch.ts";
import { Program } from "./program.ts";
import { wordsOf } from "./words.ts";

const perl = "/usr/bin/perl";
const shim = fileURLToPath(new URL("./shim.pl", import.meta.url));

/**
 * Starts a program with an instance's user, files and environment, its standard streams here. Resolves when it is there;
 * one that cannot be executed ends at once with code 126 or 127 and says why. Throws `NOTHING_TO_RUN` when the release's
 * directory is gone, `BAD_INPUT` for an impossible environment, `INTERNAL` when the machine has no means.
 */
export async function startProgram(spec: OneOffSpec, host: Host): Promise<OneOffProgram> {
  openStorage(spec);
  const cgroup = host.cgroups?.create(spec.key, spec.limits) ?? null;
  if (spec.workshop) cgroup?.giveWay();
  const tidyUp = async () => {
    await cgroup?.kill();
    await cgroup?.remove();
    await rm(spec.runDirectory, { recursive: true, force: true });
  };
  try {
    const program = await spawnShim(spec, host, cgroup);
    void program.exited.then(tidyUp).catch(() => {}); // the next controller removes what is left
    return program;
  } catch (error) {
    await tidyUp();
    throw error;
  }
}

async function spawnShim(spec: OneOffSpec, host: Host, cgroup: Cgroup | null): Promise<OneOffProgram> {
  const { argv, ...place } = wordsOf(spec, host, cgroup);
  const child = spawn(perl, [shim, spec.app, ...streamsOf(spec), "--", ...argv], {
    ...place,
    argv0: `apprunner.${spec.app}`,
    detached: true, // Ctrl-C at the terminal of `maestro serve` is not meant for it.
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  const failed = once(child, "error").then(([cause]) => Promise.reject(cannotSpawn(spec, cause)));
  failed.catch(() => {}); // later errors are of signals to a process that has ended
  return Promise.race([begun(spec, child, cgroup), failed]);
}

function streamsOf({ terminal, user }: OneOffSpec): string[] {
  const owner = process.getuid?.() === 0 ? user : null;
  const mode = terminal === null ? ["pipes"] : ["terminal", terminal.columns, terminal.rows];
  return [owner?.uid ?? -1, owner?.gid ?? -1, ...mode].map(String);
}

/** The first line of the shim says whom it has started, or why it could not. */
async function begun(spec: OneOffSpec, child: ChildProcess, cgroup: Cgroup | null): Promise<OneOffProgram> {
  const { stdin, stdout, stderr } = child;
  const control = child.stdio[3];
  if (!stdin || !stdout || !stderr || !(control instanceof Socket))
    throw new Error("four pipes were asked for");
  for (const stream of [stdin, stdout, stderr, control]) stream.on("error", () => {}); // "close" follows
  const lines = linesOf(control);
  const { value: first } = await lines.next();
  const pid = Number(/^program (\d+)$/.exec(first ?? "")?.[1]);
  if (Number.isInteger(pid))
    return new Program({ child, stdin, stdout, stderr, control, cgroup, lines }, pid);
  throw notStarted(spec, first?.replace(/^failed /, "") ?? "its shim ended at once");
}

/** Ends with the socket, however that ends. */
async function* linesOf(socket: Socket): AsyncGenerator<string, undefined, undefined> {
  let text = "";
  try {
    for await (const chunk of socket) {
      const lines = (text + chunk).split("\n");
      text = lines.pop() ?? "";
      yield* lines;
    }
  } catch {
    // The shim is gone, and has left something unread.
  }
  return undefined;
}

function cannotSpawn(spec: OneOffSpec, cause: Error): MaestroError {
  const { app, directory } = spec;
  if (!existsSync(directory)) {
    const message = `${app} has nothing to run a program in: ${directory} is not there; deploy it again`;
    return new MaestroError("NOTHING_TO_RUN", message, { app, directory }, { cause });
  }
  if (isSystemError(cause, "E2BIG")) {
    return new MaestroError("BAD_INPUT", "the command is too long for this machine", { app }, { cause });
  }
  const why = existsSync(perl) ? cause.message : `${perl} is missing (on Debian: apt-get install perl-base)`;
  return notStarted(spec, why);
}

function notStarted({ app, command }: OneOffSpec, why: string): MaestroError {
  return new MaestroError("INTERNAL", `${command[0]} could not be started for ${app}: ${why}`, { app });
}
