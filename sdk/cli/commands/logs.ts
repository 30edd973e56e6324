import { type Command, InvalidArgumentError } from "commander";
import type { LogLine } from "../../../src/app/reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import type { Operations } from "../../operations.ts";
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
    .argument("[app]", "the app's name (default: the one that was deployed from here with --to)")
    .option("-f, --follow", "go on showing lines as they come")
    .option("-n, --lines <n>", "how many earlier lines (default: 100)", wholeNumber)
    .option("-p, --process <type>", "only the instances of this process type, such as web")
    .addHelpText("after", examples("maestro logs shop -n 50", "maestro logs shop -f -p web"))
    .action(async (app: string | undefined, flags: LogsFlags) =>
      showLogs(line, app ?? (await appHere(line)), flags),
    );
}

async function appHere(line: CommandLine): Promise<string> {
  const { app } = await line.project;
  if (app !== undefined) return app;
  throw new MaestroError("BAD_INPUT", "name the app: nothing was deployed from this directory yet");
}

async function showLogs(
  line: CommandLine,
  app: string,
  { follow, lines = 100, process }: LogsFlags,
): Promise<void> {
  const input = { app, lines, ...(process === undefined ? {} : { process }) };
  if (follow) return followLogs(line, input);
  const answer = await line.withServer((client) => client.call("logs", input));
  for (const logLine of answer.lines) line.print(logLine, renderLogLine);
}

/** Goes on where it was when the server was replaced or died in between. */
async function followLogs(line: CommandLine, input: Operations["logs"]["input"]): Promise<void> {
  const seen = new Map<string, string>();
  const onLine = (logLine: LogLine) => {
    const { cursor } = logLine;
    if (cursor !== undefined) seen.set(cursor.slice(0, cursor.lastIndexOf(":")), cursor);
    line.print(logLine, renderLogLine);
  };
  const following = {
    ...input,
    follow: true,
    get after() {
      return [...seen.values()];
    },
  };
  await line.interruptible((signal) =>
    line.withServer((client) => client.call("logs", following, { onLine, signal, repeat: true })),
  );
}

/** Reads an option that counts something. */
export function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It has to be a whole number.");
}
