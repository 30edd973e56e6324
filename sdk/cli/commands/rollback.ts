import { type Command, InvalidArgumentError } from "commander";
import type { CommandLine } from "../command-line.ts";
import { deployShown } from "../deploy-shown.ts";
import { renderDeployed } from "../render/deploy.ts";
import { waitFlag } from "./deploy.ts";
import { examples } from "./example.ts";

export function addRollbackCommand(program: Command, line: CommandLine): void {
  program
    .command("rollback")
    .summary("put an earlier release live again")
    .description(
      "Puts the release that served before live again, or the one that is named, with the config that it had.\n" +
        "What was sent since stays in the app's incoming directory: `maestro restart` would deploy it again.",
    )
    .argument("<app>", "the app's name")
    .argument("[release]", "v and its number, as `maestro releases` shows it", releaseNumber)
    .option(...waitFlag)
    .addHelpText("after", examples("maestro rollback shop", "maestro rollback shop v12"))
    .action(async (app: string, to: number | undefined, { wait }: { wait?: true }) => {
      const input = { app, ...(to === undefined ? {} : { to }), ...(wait ? { wait } : {}) };
      await deployShown(
        line,
        { sendsFirst: false },
        (client, signal, onProgress) => client.call("rollback", input, { signal, onProgress }),
        renderDeployed,
      );
    });
}

function releaseNumber(text: string): number {
  const number = /^v?([1-9]\d{0,8})$/.exec(text)?.[1];
  if (number === undefined) throw new InvalidArgumentError("A release is v and its number, such as v12.");
  return Number(number);
}
