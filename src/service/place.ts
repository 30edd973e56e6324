import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Scope } from "./unit.ts";

/** Which systemd Maestro is installed into, and where that one looks. */
export type Place = {
  scope: Scope;
  /** Where its administrator's units are: systemd.unit(5). */
  unitDirectory: string;
  /** Variables for `serve`, readable by its user alone. */
  environmentFile: string;
  /** The command that talks to it, as argv. */
  systemctl: readonly [string, ...string[]];
  /** Whether it runs: sd_booted(3). */
  running: boolean;
};

/** The machine's systemd for root, for everybody else the one of their own. */
export function placeOf(env: NodeJS.ProcessEnv, uid = process.getuid?.()): Place {
  return uid === 0 ? systemPlace() : userPlace(env);
}

function systemPlace(): Place {
  return {
    scope: "system",
    unitDirectory: "/etc/systemd/system",
    environmentFile: "/etc/maestro/environment",
    systemctl: ["systemctl"],
    running: existsSync("/run/systemd/system"),
  };
}

function userPlace(env: NodeJS.ProcessEnv): Place {
  const settings = env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  const runtime = env["XDG_RUNTIME_DIR"] ?? "";
  return {
    scope: "user",
    unitDirectory: join(settings, "systemd", "user"),
    environmentFile: join(settings, "maestro", "environment"),
    systemctl: ["systemctl", "--user"],
    running: runtime !== "" && existsSync(join(runtime, "systemd")),
  };
}
