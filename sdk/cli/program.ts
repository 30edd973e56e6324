import { Command } from "commander";
import { CommandLine, type GlobalOptions, type Parts } from "./command-line.ts";
import { addBuildsCommands } from "./commands/builds.ts";
import { addConfigCommands } from "./commands/config.ts";
import { addDataCommands } from "./commands/data.ts";
import { addDeployCommands } from "./commands/deploy.ts";
import { addDomainsCommands } from "./commands/domains.ts";
import { addInspectCommands } from "./commands/inspect.ts";
import { addInstallCommand } from "./commands/install.ts";
import { addKeysCommands } from "./commands/keys.ts";
import { addLimitsCommand } from "./commands/limits.ts";
import { addLogsCommand } from "./commands/logs.ts";
import { addModeCommands } from "./commands/mode.ts";
import { addReloadCommand } from "./commands/reload.ts";
import { addRollbackCommand } from "./commands/rollback.ts";
import { addRunCommand } from "./commands/run.ts";
import { addScaleCommand } from "./commands/scale.ts";
import { addServeCommand } from "./commands/serve.ts";
import { addStopCommands } from "./commands/stop.ts";
import { addTopCommand } from "./commands/top.ts";

/** The commands and their options. `quiet`: a wrong usage is only thrown (`CommanderError`), not written as well. */
export function buildProgram(parts: Parts, { quiet = false }: { quiet?: boolean } = {}): Command {
  const program = configure(new Command("maestro"), parts, quiet);
  const line = new CommandLine(parts, () => program.opts<GlobalOptions>());
  addServeCommand(program, line);
  addInstallCommand(program, line);
  addDeployCommands(program, line);
  addInspectCommands(program, line);
  addTopCommand(program, line);
  addLogsCommand(program, line);
  addRunCommand(program, line);
  addDomainsCommands(program, line);
  addRollbackCommand(program, line);
  addBuildsCommands(program, line);
  addConfigCommands(program, line);
  addScaleCommand(program, line);
  addLimitsCommand(program, line);
  addModeCommands(program, line);
  addKeysCommands(program, line);
  addDataCommands(program, line);
  addStopCommands(program, line);
  addReloadCommand(program, line);
  return program;
}

/** Commands that are added later take these settings over. */
function configure(program: Command, { version, terminal }: Parts, quiet: boolean): Command {
  const { stdout, stderr } = terminal;
  return program
    .description("Runs web applications on one machine, and puts new code live without dropping a request.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help for a command")
    .option("--server <host:port>", "the server to talk to (or MAESTRO_SERVER; default 127.0.0.1:7272)")
    .option("--to <user@server>", "a server that is reached by SSH: user@server or user@server:port")
    .option("--json", "print one JSON document, or one a line for a stream")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => quiet || stderr.write(text),
      getOutHelpWidth: () => stdout.columns,
      getErrHelpWidth: () => stderr.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError("`maestro --help` lists the commands, `maestro COMMAND --help` explains one")
    .exitOverride()
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C; `run` gives its program's own.\n\nExample:\n  maestro deploy ./shop --hostname shop.example.com",
    );
}
