import { constants } from "node:os";
import type { Command } from "commander";
import type { CallersTerminal } from "../../../src/app/one-off.ts";
import type { RunReport } from "../../../src/app/run-reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import type { Session } from "../../operations.ts";
import { type Run, run } from "../../run.ts";
import { type CommandLine, Interrupted, ProgramEnded } from "../command-line.ts";
import { harmless } from "../render/screen.ts";
import type { Console } from "../terminal.ts";
import { examples } from "./example.ts";

export function addRunCommand(program: Command, line: CommandLine): void {
  program
    .command("run")
    .summary("run a one-off program in an app's place")
    .description(
      "Runs a program with the files, the user and the environment of an app's instances, without a port, and gives\n" +
        "its output and its exit code (128 and more: a signal ended it). On a terminal the program gets one too; else\n" +
        "pipes, so that output can go to a file. It ends when this command does, and all that it has started with it.\n" +
        "Options come before the program; what follows it is the program's.",
    )
    .usage("[options] <app> [--] <program> [arguments...]")
    .argument("<app>", "the app's name")
    .argument(
      "<program...>",
      "the program and its arguments; it is looked up on the app's path, no shell reads it",
    )
    .option("-T, --no-terminal", "give the program pipes, also on a terminal")
    .addHelpText(
      "after",
      examples(
        "maestro run shop node migrate.js --all",
        "maestro run shop bash",
        "maestro run shop -- sh -c 'du -sh . | cut -f1'",
        "maestro run shop -T node export.js > orders.csv",
      ),
    )
    .action((app: string, words: string[], { terminal }: { terminal: boolean }) =>
      runProgram(line, app, words, terminal),
    );
}

async function runProgram(
  line: CommandLine,
  app: string,
  command: string[],
  mayBeTerminal: boolean,
): Promise<void> {
  if (line.json) {
    throw new MaestroError("BAD_INPUT", "run gives the output of its program as it is; leave --json out");
  }
  const { console } = line.parts.terminal;
  const terminal = mayBeTerminal && console.isTerminal ? terminalOf(line) : undefined;
  const report = await line.withServer((client) => runFor(line, { client, app, command, terminal }));
  if (report.reason !== undefined) {
    line.parts.terminal.stderr.write(`maestro: ${harmless(report.reason)}, and the program with it\n`);
  }
  throw new ProgramEnded(exitCodeOf(report));
}

function terminalOf({ parts }: CommandLine): CallersTerminal {
  const { console, env } = parts.terminal;
  const term = env["TERM"] ?? "";
  return { ...console.size, term: /^[A-Za-z0-9][\w.+-]{0,63}$/.test(term) ? term : "dumb" };
}

type Asked = { client: Session; app: string; command: string[]; terminal: CallersTerminal | undefined };

async function runFor(line: CommandLine, { client, app, command, terminal }: Asked): Promise<RunReport> {
  const { console } = line.parts.terminal;
  const over = new AbortController();
  const leave = new AbortController();
  const program: { run: Run | null } = { run: null };
  const undo = [() => over.abort(), console.onSignal(forwarder(program, () => leave.abort()))];
  const input = console.input(over.signal);
  try {
    return await run({
      client,
      app,
      command,
      ...(terminal ? { terminal } : {}),
      input: terminal ? watched(input, program, () => leave.abort()) : input,
      signal: leave.signal,
      onOutput: ({ stream, bytes }) => console.write(stream, bytes),
      onStarted(started) {
        program.run = started;
        if (terminal)
          undo.push(
            console.raw(),
            console.onResize(() => started.resize(console.size)),
          );
      },
    });
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    throw new Interrupted("", { cause: error });
  } finally {
    for (const step of undo.reverse()) step();
  }
}

/**
 * Signals go to the program. A second one leaves, and so does one that comes before there is a program, or that says
 * that the terminal here is gone.
 */
function forwarder(program: { run: Run | null }, leave: () => void): Parameters<Console["onSignal"]>[0] {
  let isSecond = false;
  return (signal) => {
    if (program.run === null || isSecond || signal === "SIGHUP") leave();
    else program.run.signal(signal);
    isSecond = true;
  };
}

const ctrlC = 0x03;
const patience = 3;

/** In a terminal Ctrl-C is a byte for the program. Pressed again and again where nobody answers, it leaves. */
async function* watched(
  input: AsyncIterable<Uint8Array>,
  program: { run: Run | null },
  leave: () => void,
): AsyncIterable<Uint8Array> {
  let unanswered = 0;
  for await (const keys of input) {
    const isIgnored = keys.every((key) => key === ctrlC) && (program.run?.waiting ?? 0) > 0;
    unanswered = isIgnored ? unanswered + keys.length : 0;
    if (unanswered >= patience) leave();
    yield keys;
  }
}

/** As shells do: 128 and the number of the signal. */
function exitCodeOf({ exitCode, signal }: RunReport): number {
  if (exitCode !== null) return exitCode;
  const numbers: Record<string, number> = constants.signals;
  const number = signal !== null && Object.hasOwn(numbers, signal) ? numbers[signal] : undefined;
  return number === undefined ? 1 : 128 + number;
}
