import type { Command } from "commander";
import type { DoctorCheck } from "../../../src/app/reports.ts";
import { toWire } from "../../../src/errors.ts";
import type { Session } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { renderApps, renderInstances } from "../render/apps.ts";
import { renderReleases } from "../render/releases.ts";
import { renderDoctor, renderStatus } from "../render/status.ts";
import { examples } from "./example.ts";
import { wholeNumber } from "./logs.ts";

export function addInspectCommands(program: Command, line: CommandLine): void {
  program
    .command("apps")
    .summary("list the apps")
    .description("Lists the apps that are registered: how they are, their release, their addresses.")
    .addHelpText("after", examples("maestro apps", "maestro apps --json"))
    .action(() => line.answer("apps", {}, renderApps));
  program
    .command("ps")
    .summary("list the instances that run")
    .description(
      "Lists the instances that run, those included that only finish what they had begun (draining).",
    )
    .argument("[app]", "only those of this app")
    .addHelpText("after", examples("maestro ps shop"))
    .action((app?: string) => line.answer("ps", app === undefined ? {} : { app }, renderInstances));
  program
    .command("releases")
    .summary("list an app's releases, and what was done")
    .description(
      "Lists the releases of an app that are kept, and its latest deploys with how each ended:\n" +
        "done, failed, and where Maestro itself ended in the middle: finished (by the next one) or undone.",
    )
    .argument("<app>", "the app's name")
    .option("-n, --deploys <n>", "how many deploys (default: 10)", wholeNumber)
    .addHelpText("after", examples("maestro releases shop"))
    .action((app: string, { deploys }: { deploys?: number }) =>
      line.answer("releases", deploys === undefined ? { app } : { app, deploys }, renderReleases),
    );
  program
    .command("status")
    .summary("tell how Maestro is")
    .description("Tells how the parts of Maestro are: versions, addresses, proxy workers, isolation, apps.")
    .addHelpText("after", examples("maestro status"))
    .action(() => line.answer("status", {}, renderStatus));
  program
    .command("doctor")
    .summary("tell what of the machine is there and what is missing")
    .description(
      "Tells what of the machine Maestro can use, what is missing, and what that costs.\n" +
        "Asks the server; when none answers and none was named, looks at this machine itself.",
    )
    .addHelpText("after", examples("maestro doctor"))
    .action(async () =>
      line.print({ checks: await examine(line) }, ({ checks }, screen) => renderDoctor(checks, screen)),
    );
}

async function examine(line: CommandLine): Promise<DoctorCheck[]> {
  let session: Session;
  try {
    session = await line.connect();
    await session.opened;
  } catch (error) {
    // Somebody who named a server asks about that machine, not about this one; and one that refuses is there.
    if (line.namedServer !== undefined || toWire(error).code !== "INTERNAL") throw error;
    return line.parts.doctor();
  }
  try {
    return (await session.call("doctor", {})).checks;
  } finally {
    session.close();
  }
}
