import { join, resolve } from "node:path";
import type { Command } from "commander";
import { toWire } from "../../../src/errors.ts";
import type { Operations } from "../../operations.ts";
import type { CommandLine, Ended } from "../command-line.ts";
import { harmless } from "../render/screen.ts";
import { examples } from "./example.ts";

export function addStopCommands(program: Command, line: CommandLine): void {
  program
    .command("stop")
    .summary("stop an app, or all of Maestro")
    .description(
      "Stops an app until its next deploy or restart; what is under way may finish first.\n" +
        "Without an app: ends all of Maestro, every app included; also what a Maestro that is gone has left running.",
    )
    .argument("[app]", "the app's name")
    .option("--home <dir>", "the home of the Maestro to end, when it does not answer at the default address")
    .addHelpText("after", examples("maestro stop shop", "maestro stop", "maestro stop --home ./.maestro"))
    .action((app: string | undefined, { home }: { home?: string }) =>
      app === undefined
        ? stopMaestro(line, home)
        : line.answer("stop", { app }, (output) => renderStopped(output, app)),
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

/** By its controller; where none answers, and none was named, what it left running is ended here. */
async function stopMaestro(line: CommandLine, home: string | undefined): Promise<void> {
  try {
    const server = home === undefined ? undefined : join(resolve(home), "run", "maestro.sock");
    const output = await line.whileOpening(server, (session) => session.call("stop", {}));
    line.print(output, (answer) => renderStopped(answer, undefined));
  } catch (error) {
    const isElsewhere = home === undefined && line.namedServer !== undefined;
    if (toWire(error).details["why"] === undefined || isElsewhere) throw error;
    line.print(await line.parts.stopWithoutServer(home), renderLeftBehind);
  }
}

function renderLeftBehind({ home, stopped, instances, workers }: Ended): string {
  if (instances + workers === 0) return `Nothing of Maestro runs on ${harmless(home)}.\n`;
  const what = [
    ...(instances > 0
      ? [`${stopped.map(harmless).join(", ")} (${instances} instance${instances === 1 ? "" : "s"})`]
      : []),
    ...(workers > 0 ? [`${workers} proxy worker${workers === 1 ? "" : "s"}`] : []),
  ];
  return `No controller ran on ${harmless(home)}; what it had left running is ended: ${what.join(" and ")}.\n`;
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
