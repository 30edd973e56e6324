import type { Command } from "commander";
import type { Operations } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { harmless } from "../render/screen.ts";
import { examples } from "./example.ts";

export function addStopCommands(program: Command, line: CommandLine): void {
  program
    .command("stop")
    .summary("stop an app, or all of Maestro")
    .description(
      "Stops an app until its next deploy or restart; what is under way may finish first.\nWithout an app: ends all of Maestro, every app included.",
    )
    .argument("[app]", "the app's name")
    .addHelpText("after", examples("maestro stop shop", "maestro stop"))
    .action((app?: string) =>
      line.answer("stop", app === undefined ? {} : { app }, (output) => renderStopped(output, app)),
    );
  program
    .command("remove")
    .summary("stop and forget an app")
    .description(
      "Stops an app and forgets it: its hostnames and releases go. Its logs stay unless --data is given.",
    )
    .argument("<app>", "the app's name")
    .option("--data", "remove its logs as well")
    .addHelpText("after", examples("maestro remove shop"))
    .action((app: string, { data }: { data?: true }) =>
      line.answer("remove", data ? { app, data } : { app }, renderRemoved),
    );
}

function renderStopped({ stopped }: Operations["stop"]["output"], app: string | undefined): string {
  const names = stopped.map(harmless).join(", ");
  if (app !== undefined)
    return `${harmless(app)} is stopped; \`maestro restart ${harmless(app)}\` starts it again.\n`;
  return `Maestro ends${names === "" ? "" : `, and with it ${names}`}.\n`;
}

function renderRemoved({ app, removed }: Operations["remove"]["output"]): string {
  return `${harmless(app)} is removed${removed.length === 0 ? "" : `: ${removed.map(harmless).join(", ")}`}.\n`;
}
