import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { type Config, loadConfig } from "../config.ts";
import { isSystemError, MaestroError } from "../errors.ts";

/**
 * The settings that `serve` will find when systemd starts it: the options, the environment file, maestro.json; not
 * the environment of whoever installs. Throws `BAD_INPUT` as `serve` would, and for a secret among the options.
 */
export function settingsOfService(flags: Record<string, unknown>, environmentFile: string): Config {
  refuseSecrets(flags, environmentFile);
  return loadConfig(flags, readEnvironment(environmentFile));
}

function refuseSecrets(flags: Record<string, unknown>, environmentFile: string): void {
  if (flags["rpcToken"] === undefined) return;
  throw new MaestroError(
    "BAD_INPUT",
    `--rpc-token does not go into a unit, which everybody can read; write it as rpcToken into <home>/maestro.json, or as MAESTRO_RPC_TOKEN=… into ${environmentFile}, with mode 0600`,
  );
}

function readEnvironment(path: string): NodeJS.ProcessEnv {
  try {
    return parseEnv(readFileSync(path, "utf8"));
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return {};
    throw error;
  }
}

/** The variables of `serve` that are set here, and that the service will not see. */
export function variablesLeftOut(env: NodeJS.ProcessEnv): string[] {
  const elsewhere = new Set(["MAESTRO_SERVER"]); // A setting of the commands, not of `serve`.
  return Object.keys(env).filter(
    (name) => /^MAESTRO_[A-Z_]+$/.test(name) && env[name] !== "" && !elsewhere.has(name),
  );
}
