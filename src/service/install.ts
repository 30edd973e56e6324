import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { InstalledUnit, InstallOptions, InstallReport } from "../app/installation.ts";
import { MaestroError } from "../errors.ts";
import { adviseNext } from "./next.ts";
import { type Place, placeOf } from "./place.ts";
import { findController } from "./running.ts";
import { settingsOfService, variablesLeftOut } from "./settings.ts";
import { renderService, renderSocket, serviceName, socketName } from "./unit.ts";
import { putUnit } from "./unit-file.ts";

const run = promisify(execFile);

/** Above TimeoutStartSec= of the unit: systemctl waits until the service is ready or has failed. */
const systemctlLimitMs = 120_000;

/**
 * `maestro install`: writes the units for these settings of `serve`, and lets systemd, where it runs, know of them;
 * with `now`, it starts the service. Throws `BAD_INPUT` for wrong settings, before anything is written, and
 * `INTERNAL` where a unit cannot be written or systemd refuses.
 */
export async function install(
  flags: Record<string, unknown>,
  { dryRun, now }: InstallOptions,
  env: NodeJS.ProcessEnv,
  place: Place = placeOf(env),
): Promise<InstallReport> {
  const { scope, unitDirectory, environmentFile } = place;
  const config = settingsOfService(flags, environmentFile);
  const plan = { scope, launcher: findLauncher(), config, flags, environmentFile };
  const planned = {
    service: { path: join(unitDirectory, serviceName), content: renderService(plan) },
    socket: { path: join(unitDirectory, socketName), content: renderSocket(plan) },
  };
  const notes = notesOn(env, environmentFile);
  if (dryRun) {
    const units = Object.values(planned).map((unit): InstalledUnit => ({ ...unit, state: "planned" }));
    return { dryRun, units, ran: [], notes, next: [] };
  }

  const service = await putUnit(planned.service);
  const socket = await putUnit(planned.socket);
  const controller = await findController(config.home);
  const ran = place.running ? await tellSystemd(place, { start: now && controller === null }) : [];
  const changed = { service: service.state !== "unchanged", socket: socket.state !== "unchanged" };
  const { note, next } = adviseNext({ place, now, changed, controller, home: config.home });
  return { dryRun, units: [service, socket], ran, notes: note === null ? notes : [...notes, note], next };
}

/** The program of this installation: bin/maestro of the package that this file belongs to, built or not. */
function findLauncher(directory = dirname(fileURLToPath(import.meta.url))): string {
  const candidate = join(directory, "bin", "maestro");
  if (existsSync(candidate)) return candidate;
  if (dirname(directory) !== directory) return findLauncher(dirname(directory));
  throw new MaestroError("INTERNAL", "bin/maestro of this installation is missing; install Maestro anew");
}

function notesOn(env: NodeJS.ProcessEnv, environmentFile: string): string[] {
  const names = variablesLeftOut(env);
  if (names.length === 0) return [];
  return [
    `${names.join(", ")}: set here, and not for the service; give the option to \`maestro install\`, or write the variable into ${environmentFile}`,
  ];
}

async function tellSystemd({ systemctl }: Place, { start }: { start: boolean }): Promise<string[]> {
  const [program, ...scope] = systemctl;
  const commands = [["daemon-reload"], ["enable", serviceName], ...(start ? [["start", serviceName]] : [])];
  const ran: string[] = [];
  for (const words of commands) {
    const command = [...systemctl, ...words].join(" ");
    try {
      await run(program, [...scope, ...words], { timeout: systemctlLimitMs });
    } catch (error) {
      const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
      throw new MaestroError("INTERNAL", `the units are written, and then \`${command}\` failed: ${said}`, {
        command,
        ran,
      });
    }
    ran.push(command);
  }
  return ran;
}
