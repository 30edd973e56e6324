import { dirname, join } from "node:path";
import type { AppUser } from "../app/app.ts";
import type { LaunchSpec } from "../app/instance.ts";
import type { Start } from "../app/release.ts";

/** The programs that Maestro brings along for apps. Absolute paths, reachable by the app's user. */
export type Runtime = {
  node: string;
  /** The server for static files: a program for Node that is given a directory. */
  staticServer: string;
};

type Command = readonly string[];

/**
 * The words that lead to the app, each program replacing itself by the next: default signals → the app's own user →
 * the app's environment → the app. What is put before these words (a session of its own, later a sandbox) still
 * runs with Maestro's rights.
 */
export function chain(
  spec: Pick<LaunchSpec, "app" | "start" | "port" | "directory" | "user">,
  runtime: Runtime,
): Command {
  return [...defaultSignals(spec.start), ...asUser(spec.user), ...withEnvironment, ...command(spec, runtime)];
}

/**
 * A shell starts what it puts in the background with SIGINT and SIGQUIT ignored, and Node ignores SIGPIPE.
 * Node gives all signals their default when it starts; other programs need it done for them.
 */
function defaultSignals(start: Start): Command {
  return start.kind === "line" ? ["/usr/bin/env", "--default-signal"] : [];
}

/** setpriv(1): its own user and group, no other groups, and no way to get more rights ever again. */
function asUser(user: AppUser | null): Command {
  if (user === null || process.getuid?.() !== 0) return [];
  const { uid, gid } = user;
  const identity = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups"];
  return ["/usr/bin/setpriv", ...identity, "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"];
}

/** Carries the app's environment past the programs that still have Maestro's rights. */
export const environmentCarrier = "APPRUNNER_ENVIRONMENT";

/**
 * Puts the app's environment in force only where its rights are the app's: a variable such as LD_PRELOAD, which an
 * app may set for itself, must not reach a program that runs as root. Node raises the soft limit of open files to the
 * hard one; 1024 is what programs that use select(2) rely on, and who needs more raises it again.
 */
const withEnvironment: Command = [
  "/bin/sh",
  "-c",
  `umask 022; ulimit -S -n 1024; eval "$${environmentCarrier}"; unset ${environmentCarrier}; exec "$@"`,
  "apprunner",
];

function command(
  { app, start, port, directory }: Pick<LaunchSpec, "app" | "start" | "port" | "directory">,
  { node, staticServer }: Runtime,
): Command {
  switch (start.kind) {
    case "line":
      // Without the trap, the shell would die of the SIGTERM that its process group gets, and take with it the
      // exit code of the app, whose own handler still runs.
      return ["/bin/sh", "-c", `trap : TERM; ${start.line}`];
    case "node":
      return [node, start.file];
    case "apprunner":
      return [node, "apprunner.js", "--name", app, "--port", String(port ?? 0)];
    case "static":
      return [node, staticServer, directory];
  }
}

/** Where an app's start line finds programs: those of its own packages, its Node, the machine's. */
export function searchPath(directory: string, node: string): string {
  return [join(directory, "node_modules", ".bin"), dirname(node), "/usr/local/bin", "/usr/bin", "/bin"].join(
    ":",
  );
}
