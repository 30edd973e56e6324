import { Command } from "commander";
import { CommandLine, type GlobalOptions, type Parts } from "./command-line.ts";

type Family = {
  commands: readonly string[];
  load(): Promise<(program: Command, line: CommandLine) => void>;
};

/** All commands, in the order of the help. A file of them is loaded when one of them is called. */
const families: readonly Family[] = [
  { commands: ["serve"], load: async () => (await import("./commands/serve.ts")).addServeCommand },
  { commands: ["install"], load: async () => (await import("./commands/install.ts")).addInstallCommand },
  {
    commands: ["deploy", "restart"],
    load: async () => (await import("./commands/deploy.ts")).addDeployCommands,
  },
  {
    commands: ["apps", "ps", "releases", "status", "doctor"],
    load: async () => (await import("./commands/inspect.ts")).addInspectCommands,
  },
  { commands: ["top"], load: async () => (await import("./commands/top.ts")).addTopCommand },
  { commands: ["logs"], load: async () => (await import("./commands/logs.ts")).addLogsCommand },
  { commands: ["run"], load: async () => (await import("./commands/run.ts")).addRunCommand },
  { commands: ["domains"], load: async () => (await import("./commands/domains.ts")).addDomainsCommands },
  { commands: ["rollback"], load: async () => (await import("./commands/rollback.ts")).addRollbackCommand },
  { commands: ["builds"], load: async () => (await import("./commands/builds.ts")).addBuildsCommands },
  { commands: ["config"], load: async () => (await import("./commands/config.ts")).addConfigCommands },
  { commands: ["scale"], load: async () => (await import("./commands/scale.ts")).addScaleCommand },
  { commands: ["limits"], load: async () => (await import("./commands/limits.ts")).addLimitsCommand },
  {
    commands: ["pause", "resume", "maintenance"],
    load: async () => (await import("./commands/mode.ts")).addModeCommands,
  },
  { commands: ["keys", "audit"], load: async () => (await import("./commands/keys.ts")).addKeysCommands },
  { commands: ["data"], load: async () => (await import("./commands/data.ts")).addDataCommands },
  { commands: ["stop", "remove"], load: async () => (await import("./commands/stop.ts")).addStopCommands },
  { commands: ["reload"], load: async () => (await import("./commands/reload.ts")).addReloadCommand },
];

/**
 * The commands and their options. `called`: the one that is going to be called; those of other files are left out then.
 * `quiet`: a wrong usage is only thrown (`CommanderError`), not written as well.
 */
export async function buildProgram(
  parts: Parts,
  { called, quiet = false }: { called?: string | undefined; quiet?: boolean } = {},
): Promise<Command> {
  const program = configure(new Command("maestro"), parts, quiet);
  const line = new CommandLine(parts, () => program.opts<GlobalOptions>());
  const family = families.find(({ commands }) => called !== undefined && commands.includes(called));
  for (const { load } of family ? [family] : families) (await load())(program, line);
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
