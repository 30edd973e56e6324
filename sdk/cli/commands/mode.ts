import type { Command } from "commander";
import type { ModeReport } from "../../../src/app/reports.ts";
import type { CommandLine } from "../command-line.ts";
import { harmless } from "../render/screen.ts";
import { examples } from "./example.ts";
import { wholeNumber } from "./logs.ts";

export function addModeCommands(program: Command, line: CommandLine): void {
  program
    .command("pause")
    .summary("hold an app's new requests")
    .description(
      "Holds the new requests of an app until it is resumed; what is under way goes on.\n" +
        "One that has waited for its time is answered with 503. Survives restarts, of Maestro too.",
    )
    .argument("<app>", "the app's name")
    .option("--hold-for <seconds>", "how long a request waits at most (default: 30)", wholeNumber)
    .addHelpText("after", examples("maestro pause shop", "maestro pause shop --hold-for 120"))
    .action((app: string, { holdFor }: { holdFor?: number }) =>
      line.answer("pause", holdFor === undefined ? { app } : { app, holdFor }, renderMode),
    );
  program
    .command("resume")
    .summary("let the requests go on that a pause has held")
    .description("Ends a pause: the requests that were held go to the app.")
    .argument("<app>", "the app's name")
    .addHelpText("after", examples("maestro resume shop"))
    .action((app: string) => line.answer("resume", { app }, renderMode));
  addMaintenance(program, line);
}

function addMaintenance(program: Command, line: CommandLine): void {
  const maintenance = program
    .command("maintenance")
    .usage("[options] on APP | off APP")
    .summary("answer with a page that says that an app is being worked on")
    .description(
      "Answers the new requests of an app with status 503 and a page; what is under way goes on.\n" +
        "Survives restarts, of Maestro too.",
    )
    .addHelpText("after", examples("maestro maintenance on shop", "maestro maintenance off shop"));
  maintenance
    .command("on")
    .summary("begin")
    .description("Answers the new requests of an app with status 503 and a page.")
    .argument("<app>", "the app's name")
    .option("--message <text>", "what the page says; it is shown as text, also if it looks like HTML")
    .addHelpText("after", examples("maestro maintenance on shop --message Soon."))
    .action((app: string, { message }: { message?: string }) =>
      line.answer("maintenance_on", message === undefined ? { app } : { app, message }, renderMode),
    );
  maintenance
    .command("off")
    .summary("end")
    .description("Gives an app its requests again.")
    .argument("<app>", "the app's name")
    .addHelpText("after", examples("maestro maintenance off shop"))
    .action((app: string) => line.answer("maintenance_off", { app }, renderMode));
}

function renderMode({ app, mode }: ModeReport): string {
  const name = harmless(app);
  if (mode === null) return `${name} answers requests.\n`;
  if (mode.kind === "maintenance")
    return `${name} is in maintenance; \`maestro maintenance off ${name}\` ends it.\n`;
  return `${name} is paused; each request is held for ${mode.holdMs / 1000} s at most. \`maestro resume ${name}\` ends it.\n`;
}
