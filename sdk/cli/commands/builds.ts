import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { renderBuilds, renderCancelled } from "../render/builds.ts";
import { examples } from "./example.ts";

export function addBuildsCommands(program: Command, line: CommandLine): void {
  const builds = program
    .command("builds")
    .usage("[options] [APP] | cancel ID")
    .summary("list the builds that are under way, or cancel one")
    .description(
      "Lists what is being built and deployed at the moment: by whom, since when, and what it is at.\n" +
        "What a build has said is in the app's log: `maestro logs APP -p build`.",
    )
    .argument("[app]", "only those of this app (default: the one that was deployed from here with --to)")
    .addHelpText("after", examples("maestro builds", "maestro builds cancel m5x2k9ab"))
    .action(async (app?: string) => line.answer("builds", await ofApp(line, app), renderBuilds));
  builds
    .command("cancel")
    .summary("end a build or deploy that is under way")
    .description(
      "Ends a build or deploy and all that it has started. What served goes on, as if nothing had been.",
    )
    .argument("<id>", "which one, as `maestro builds` shows it")
    .option(
      "--app <name>",
      "the app that it is of, for who deploys with a key (default: the one deployed from here)",
    )
    .addHelpText("after", examples("maestro builds cancel m5x2k9ab"))
    .action(async (id: string, { app }: { app?: string }) =>
      line.answer("builds_cancel", { id, ...(await ofApp(line, app)) }, renderCancelled),
    );
}

/** Who comes by a key has to say of which app; an administrator means all of them. */
async function ofApp(line: CommandLine, named: string | undefined): Promise<{ app?: string }> {
  if (named !== undefined) return { app: named };
  const { to, app } = await line.project;
  return to === undefined || app === undefined ? {} : { app };
}
