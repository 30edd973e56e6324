import { dirname, join } from "node:path";
import type { LaunchSpec } from "../app/instance.ts";
import type { Start } from "../app/release.ts";
import type { Ceilings } from "./ceilings.ts";
import type { Confinement } from "./sandbox/sandbox.ts";
import type { Inside } from "./sandbox/view.ts";

type Command = readonly string[];

/** What stands at the end of the chain. `argv`: the words of a one-off program. */
export type ChainStart = Start | { kind: "argv"; words: Command };
type ChainSpec = Pick<LaunchSpec, "app" | "port"> & { start: ChainStart };

/**
 * The words that lead to the app, each program replacing itself by the next: into the sandbox and the app's own user →
 * default signals → the app's environment → the app.
 */
export function chain(spec: ChainSpec, { words, inside }: Confinement, ceilings: Ceilings): Command {
  return [...words, ...defaultSignals(spec.start), ...withEnvironment(ceilings), ...command(spec, inside)];
}

/**
 * A shell starts what it puts in the background with SIGINT and SIGQUIT ignored, and Node ignores SIGPIPE.
 * Node gives all signals their default when it starts; other programs need it done for them.
 */
function defaultSignals({ kind }: ChainStart): Command {
  return kind === "line" || kind === "argv" ? ["/usr/bin/env", "--default-signal"] : [];
}

/** Carries the app's environment past the programs that still have Maestro's rights. */
export const environmentCarrier = "APPRUNNER_ENVIRONMENT";

/**
 * Puts the app's environment in force only where its rights are the app's: a variable such as LD_PRELOAD, which an
 * app may set for itself, must not reach a program that runs as root. Node raises the soft limit of open files to the
 * hard one; 1024 is what programs that use select(2) rely on, and who needs more raises it again.
 *
 * Descriptor 3, when it is there, is told that the process which becomes the app is there.
 */
function withEnvironment({ processes }: Ceilings): Command {
  const steps = [
    "{ echo >&3; } 2>/dev/null",
    "umask 022",
    "ulimit -S -n 1024",
    // RLIMIT_NPROC; what setrlimit(2) calls so is -p to dash.
    ...(processes === null ? [] : [`ulimit -p ${processes}`]),
    `eval "$${environmentCarrier}"`,
    `unset ${environmentCarrier}`,
    'exec "$@" 3>&-',
  ];
  return ["/bin/sh", "-c", steps.join("; "), "apprunner"];
}

function command({ app, start, port }: ChainSpec, { node, staticServer, directory }: Inside): Command {
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
      return [node, staticServer, join(directory, start.directory ?? ".")];
    case "argv":
      return start.words;
  }
}

/** Where an app's start line finds programs: those of its own packages, its Node, what it is built with, the machine's. */
export function searchPath({ directory, node, tools }: Pick<Inside, "directory" | "node" | "tools">): string {
  const own = [join(directory, ".venv", "bin"), join(directory, "node_modules", ".bin"), dirname(node)];
  return [...own, ...tools.map((tool) => join(tool, "bin")), "/usr/local/bin", "/usr/bin", "/bin"].join(":");
}
