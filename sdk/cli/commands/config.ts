import type { Command } from "commander";
import type { ConfigChangeReport } from "../../../src/app/reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import { parseAssignments, readEnvFile } from "../../assignments.ts";
import type { DeployStep } from "../../deploy.ts";
import type { Session } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { deployShown } from "../deploy-shown.ts";
import { renderConfig, renderConfigChange } from "../render/config.ts";
import { waitFlag } from "./deploy.ts";
import { examples } from "./example.ts";

export function addConfigCommands(program: Command, line: CommandLine): void {
  const config = program
    .command("config")
    .usage("[options] APP | set APP NAME=VALUE… | unset APP NAME…")
    .summary("list, set or unset an app's variables")
    .description("Lists the variables that an app was given, with their values, as lines of an .env file.")
    .argument("<app>", "the app's name")
    .addHelpText(
      "after",
      examples(
        "maestro config shop",
        "maestro config set shop GREETING=hello",
        "maestro config unset shop GREETING",
      ),
    )
    .action((app: string) => line.answer("config", { app }, renderConfig));
  config
    .command("set")
    .summary("give an app variables, and restart it")
    .description(
      "Gives an app variables: a new release of the same code, put live like any. A rollback takes them back.\n" +
        "NAME=- reads the value from standard input, and --file reads variables from a file: neither is then in the\n" +
        "shell's history or in ps.",
    )
    .argument("<app>", "the app's name")
    .argument("[assignments...]", "NAME=VALUE, or NAME=- for standard input")
    .option("--file <file>", "a file with lines NAME=VALUE, such as .env")
    .option(...waitFlag)
    .addHelpText(
      "after",
      examples("maestro config set shop GREETING=hello", "maestro config set shop API_KEY=-"),
    )
    .action(async (app: string, words: string[], { file, wait }: { file?: string; wait?: true }) => {
      if (words.length === 0 && file === undefined) {
        throw new MaestroError(
          "BAD_INPUT",
          "there is nothing to set: write NAME=VALUE, or name a file with --file",
        );
      }
      const given = await parseAssignments(words, () => line.parts.terminal.readInput());
      const set = Object.fromEntries([...(file === undefined ? [] : await readEnvFile(file)), ...given]);
      const input = { app, set, ...(wait ? { wait } : {}) };
      await changeShown(line, (client, options) => client.call("config_set", input, options));
    });
  config
    .command("unset")
    .summary("take variables away from an app, and restart it")
    .description("Takes variables away from an app: a new release of the same code, put live like any.")
    .argument("<app>", "the app's name")
    .argument("<names...>", "names of variables that are set")
    .option(...waitFlag)
    .addHelpText("after", examples("maestro config unset shop API_KEY GREETING"))
    .action(async (app: string, names: string[], { wait }: { wait?: true }) => {
      const input = { app, names, ...(wait ? { wait } : {}) };
      await changeShown(line, (client, options) => client.call("config_unset", input, options));
    });
}

type Changing = (
  client: Session,
  options: { signal: AbortSignal; onProgress(step: DeployStep): void },
) => Promise<ConfigChangeReport>;

async function changeShown(line: CommandLine, change: Changing): Promise<void> {
  const work = (client: Session, signal: AbortSignal, onProgress: (step: DeployStep) => void) =>
    change(client, { signal, onProgress });
  await deployShown(line, { sendsFirst: false }, work, renderConfigChange);
}
