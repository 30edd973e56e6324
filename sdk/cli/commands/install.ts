import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { renderInstallation } from "../render/install.ts";
import { examples } from "./example.ts";
import { addSettingOptions } from "./serve.ts";

type InstallFlags = Record<string, unknown> & { dryRun?: boolean; now?: boolean };

export function addInstallCommand(program: Command, line: CommandLine): void {
  const install = program
    .command("install")
    .summary("let systemd run Maestro")
    .description(
      "Writes the units that let systemd run `maestro serve` on this machine: as root for the machine, else for your own systemd.\n" +
        "The options of `serve` go into the unit; variables do not. Nothing is started unless --now is given.",
    )
    .addHelpText(
      "after",
      examples("maestro install --dry-run", "maestro install --http :80 --domain apps.example.com --now"),
    )
    .option("--dry-run", "print the units, and touch nothing")
    .option("--now", "start it as well")
    .action(async ({ dryRun = false, now = false, ...flags }: InstallFlags) =>
      line.print(await line.parts.install(flags, { dryRun, now }), renderInstallation),
    );
  addSettingOptions(install);
}
