import type { Command } from "commander";
import { formatBytes, limitsFromWords } from "../../../src/app/limits.ts";
import type { Operations } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { harmless } from "../render/screen.ts";
import { examples } from "./example.ts";

type Limits = Operations["limits"]["output"];

export function addLimitsCommand(program: Command, line: CommandLine): void {
  program
    .command("limits")
    .usage("[options] APP [memory=SIZE] [cpu=SHARE] [pids=N]")
    .summary("show or set what an app may use")
    .description(
      "Shows what each instance of an app may use; with limits, sets them, at once and for all that is started later. Node's heap follows at the next restart.",
    )
    .argument("<app>", "the app's name")
    .argument(
      "[limits...]",
      "memory=256M, cpu=50% (of one core), pids=64 (processes and threads); none lifts one",
    )
    .addHelpText(
      "after",
      examples("maestro limits shop", "maestro limits shop memory=512M cpu=150% pids=none"),
    )
    .action((app: string, words: string[]) =>
      line.answer(
        "limits",
        words.length > 0 ? { app, limits: limitsFromWords(words) } : { app },
        renderLimits,
      ),
    );
}

function renderLimits({ limits: { memory, cpu, pids }, notes }: Limits): string {
  const rows = [
    `memory  ${memory === null ? "not limited" : formatBytes(memory)}`,
    `cpu     ${cpu === null ? "not limited" : `${cpu}% of one core`}`,
    `pids    ${pids === null ? "not limited" : `${pids} processes and threads`}`,
    ...notes.map((note) => `  - ${harmless(note)}`),
  ];
  return `${rows.join("\n")}\n`;
}
