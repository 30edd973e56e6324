import { mkdirSync } from "node:fs";
import type { OneOffSpec } from "../../app/one-off.ts";
import { ceilingsFor } from "../ceilings.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { chain } from "../chain.ts";
import { appEnvironment, chainEnvironment } from "../environment.ts";
import type { Host } from "../host.ts";
import { confine, entering, writeView } from "../sandbox/sandbox.ts";

/**
 * What is spawned for a program: the same chain that leads to an instance, with the program at its end. Writes what the
 * chain reads into the run directory.
 */
export function wordsOf(
  spec: OneOffSpec,
  host: Host,
  cgroup: Cgroup | null,
): { argv: readonly string[]; env: Record<string, string>; cwd: string } {
  const { runtime, sandbox } = host;
  const { command, terminal, runDirectory } = spec;
  // Its terminal is its own, and not that of whoever started Maestro: `ownSession` takes it, inside the sandbox.
  const options = {
    scratch: runDirectory,
    cgroup: cgroup?.joinFiles ?? [],
    terminal: false,
    isStatic: false,
  };
  const confinement = confine({ ...spec, ...options, port: null }, runtime, sandbox);
  const instance = {
    ...spec,
    port: null,
    env: terminal === null ? spec.env : { ...spec.env, TERM: terminal.term },
    start: {
      kind: "argv",
      words: [
        ...ownSession(terminal !== null),
        ...(spec.workshop ? givingWay : []),
        ...byItsName,
        ...command,
      ],
    } as const,
  };
  const env = chainEnvironment(appEnvironment(instance, confinement.inside));
  mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
  writeView(confinement);
  const argv = [...entering(confinement), ...chain(instance, confinement, ceilingsFor(spec, host))];
  return { argv, env, cwd: spec.directory };
}

/**
 * setsid(1): a session of its own, so that a signal reaches the program and what it has started, and nobody else. A
 * terminal becomes the session's, which job control, Ctrl-C and the news of another size depend on. Last in the chain,
 * since whatever stands before may begin a session as well.
 */
const ownSession = (terminal: boolean) => ["/usr/bin/setsid", ...(terminal ? ["--ctty"] : []), "--wait"];

/** nice(1), and ionice(1) as far as the machine lets it: what serves comes first. */
const givingWay = ["/usr/bin/nice", "-n", "10", "/usr/bin/ionice", "-t", "-c", "3"];

/** A shell looks the program up, and says so with the exit codes 126 and 127 when it cannot be executed. */
const byItsName = ["/bin/sh", "-c", 'exec "$@"', "maestro run"];
