import type { LaunchSpec } from "../app/instance.ts";
import { MaestroError } from "../errors.ts";
import { chain, type Runtime } from "./chain.ts";
import { appEnvironment, chainEnvironment } from "./environment.ts";

/** What is needed to run an instance in the foreground, where nobody keeps files about it. */
export type ForegroundSpec = Omit<LaunchSpec, "key" | "runDirectory" | "output">;

/**
 * Replaces this process by the chain that leads to the app, in the terminal and with the pid that it has. Does not
 * return. Throws when the directory cannot be entered or the first program of the chain cannot be executed.
 */
export function becomeApp(spec: ForegroundSpec, runtime: Runtime): never {
  const command = chain(spec, runtime);
  const [program] = command;
  if (program === undefined || process.execve === undefined) {
    throw new MaestroError(
      "INTERNAL",
      "this Node cannot replace itself by another program; use Node 24 on Linux",
    );
  }
  process.chdir(spec.directory);
  return process.execve(program, command, chainEnvironment(appEnvironment(spec, runtime)));
}
