import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LaunchSpec } from "../app/instance.ts";
import { MaestroError } from "../errors.ts";
import { ceilingsFor } from "./ceilings.ts";
import { chain } from "./chain.ts";
import { appEnvironment, chainEnvironment } from "./environment.ts";
import type { Host } from "./host.ts";
import { confine, entering, hasNamespaces, writeView } from "./sandbox/sandbox.ts";

const forwarder = fileURLToPath(new URL("./sandbox/foreground.sh", import.meta.url));

/** What is needed to run an instance in the foreground, where nobody keeps files about it. */
export type ForegroundSpec = Omit<LaunchSpec, "key" | "runDirectory" | "output">;

/**
 * Replaces this process by the chain that leads to the app, in the terminal that it has; the signals that this process
 * gets are then the app's. Does not return. Throws when the directory cannot be entered or the first program of the
 * chain cannot be executed.
 */
export function becomeApp(spec: ForegroundSpec, host: Host): never {
  const { runtime, sandbox } = host;
  process.chdir(spec.directory);
  const forwards = hasNamespaces(sandbox.level);
  const scratch = forwards ? mkdtempSync(join(tmpdir(), "apprunner-")) : spec.directory;
  const isStatic = spec.start.kind === "static";
  const confinement = confine({ ...spec, scratch, cgroup: [], terminal: true, isStatic }, runtime, sandbox);
  writeView(confinement);
  const ceilings = ceilingsFor(spec, host);
  const behind = forwards ? ["/bin/sh", forwarder, scratch] : [];
  const command = [...behind, ...entering(confinement), ...chain(spec, confinement, ceilings)];
  const [program] = command;
  if (program === undefined || process.execve === undefined) {
    throw new MaestroError(
      "INTERNAL",
      "this Node cannot replace itself by another program; use Node 24 on Linux",
    );
  }
  return process.execve(program, command, chainEnvironment(appEnvironment(spec, confinement.inside)));
}
