import { type Command, InvalidArgumentError } from "commander";
import type { LogLine } from "../../../src/app/reports.ts";
import type { CommandLine } from "../command-line.ts";
import { renderLogLine } from "../render/logs.ts";
import { examples } from "./example.ts";

type LogsFlags = { follow?: true; lines?: number; process?: string };

export function addLogsCommand(program: Command, line: CommandLine): void {
  program
    .command("logs")
    .summary("show what an app writes")
    .description(
      "Shows the last lines that an app has written. With -f it goes on as more come, until Ctrl-C (exit code 130).\n" +
        "With --json each line is a JSON document of its own.",
    )
    .argument("<app>", "the app's name")
    .option("-f, --follow", "go on showing lines as they come")
    .option("-n, --lines <n>", "how many earlier lines (default: 100)", wholeNumber)
    .option("-p, --process <type>", "only the instances of this process type, such as web")
    .addHelpText("after", examples("maestro logs shop -n 50", "maestro logs shop -f -p web"))
    .action((app: string, flags: LogsFlags) => showLogs(line, app, flags));
}

async function showLogs(
  line: CommandLine,
  app: string,
  { follow, lines = 100, process }: LogsFlags,
): Promise<void> {
  const input = { app, lines, ...(process === undefined ? {} : { process }) };
  const print = (logLine: LogLine) => line.print(logLine, renderLogLine);
  if (follow) {
    await line.interruptible((signal) =>
      line.withServer((client) => client.call("logs", { ...input, follow }, { onLine: print, signal })),
    );
    return;
  }
  const answer = await line.withServer((client) => client.call("logs", input));
  answer.lines.forEach(print);
}

/** Reads an option that counts something. */
export function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It has to be a whole number.");
}
