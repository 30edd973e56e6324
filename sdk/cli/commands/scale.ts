import type { Command } from "commander";
import type { Count } from "../../../src/app/app.ts";
import type { ScaleReport } from "../../../src/app/reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import type { CommandLine } from "../command-line.ts";
import { deployShown } from "../deploy-shown.ts";
import type { Screen } from "../render/screen.ts";
import { table } from "../render/table.ts";
import { waitFlag } from "./deploy.ts";
import { examples } from "./example.ts";

export function addScaleCommand(program: Command, line: CommandLine): void {
  program
    .command("scale")
    .summary("show or change how many processes of each type run")
    .description(
      "Shows how many processes of each type of an app run, or changes that, for every release to come.\n" +
        "TYPE=auto is one more than the machine has cores. Those that go on are not touched.",
    )
    .argument("<app>", "the app's name")
    .argument("[counts...]", "TYPE=N or TYPE=auto; the types are those of the Procfile")
    .option(...waitFlag)
    .addHelpText(
      "after",
      examples("maestro scale shop", "maestro scale shop web=3 worker=1", "maestro scale shop web=auto"),
    )
    .action(async (app: string, words: string[], { wait }: { wait?: true }) => {
      if (words.length === 0) {
        await line.answer("scale", { app }, renderScale);
        return;
      }
      const input = { app, counts: Object.fromEntries(words.map(parseCount)), ...(wait ? { wait } : {}) };
      await deployShown(
        line,
        { sendsFirst: false },
        (client, signal, onProgress) => client.call("scale", input, { signal, onProgress }),
        (report, _tookMs, screen) => renderScale(report, screen),
      );
    });
}

function parseCount(word: string): [string, Count] {
  const match = /^([A-Za-z0-9_-]+)=(auto|\d{1,4})$/.exec(word);
  const [, type, count] = match ?? [];
  if (type !== undefined && count !== undefined) return [type, count === "auto" ? count : Number(count)];
  throw new MaestroError("BAD_INPUT", `"${word}" is not TYPE=N or TYPE=auto, such as web=3`, { word });
}

function renderScale({ app, processes }: ScaleReport, screen: Screen): string {
  if (processes.length === 0) return `${app} has no release yet; deploy it, then scale it.\n`;
  const rows = processes.map(({ process, wanted, serving, setting }) => [
    process,
    String(wanted),
    { text: String(serving), tone: serving === wanted ? ("good" as const) : ("warn" as const) },
    setting === null ? "-" : String(setting),
  ]);
  return table(screen, ["PROCESS", "WANTED", "SERVING", "SET TO"], rows);
}
