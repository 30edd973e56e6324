import type { Command } from "commander";
import type { DeployReport } from "../../../src/app/reports.ts";
import { type DeployStep, deploy } from "../../deploy.ts";
import type { Session } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { stepProgress } from "../progress.ts";
import { renderDeployed } from "../render/deploy.ts";
import { examples } from "./example.ts";

type DeployFlags = { app?: string; hostname?: string[]; wait?: true };

export function addDeployCommands(program: Command, line: CommandLine): void {
  const waitFlag = [
    "--wait",
    "while another deploy of the app is under way, wait for it instead of failing",
  ] as const;
  program
    .command("deploy")
    .summary("send a directory and put it live")
    .description(
      "Sends DIR to the server on this machine, or with --to over SSH to another, and restarts its app. The earlier release serves until the new one is ready.\n" +
        "After a deploy with --to the server, the app and its hostnames are remembered in .maestro.json of the directory: then `maestro deploy` is enough.\n" +
        "What .gitignore and .maestroignore name is not sent, nor .git and .env; node_modules is sent, since nothing is installed on the server yet.",
    )
    .argument("[dir]", "the app's directory", ".")
    .option("--app <name>", "the app's name (default: name in package.json, else the directory's name)")
    .option("--hostname <name>", "a hostname that leads to the app; may be given more than once", collect)
    .option(...waitFlag)
    .addHelpText(
      "after",
      examples(
        "maestro deploy ./shop --app shop --hostname shop.example.com --hostname www.shop.example.com",
        "maestro deploy --to maestro@server.example.com --app shop --hostname shop.example.com",
      ),
    )
    .action((directory: string, flags: DeployFlags) => deployDirectory(line, directory, flags));
  program
    .command("restart")
    .summary("put live what was sent, in fresh processes")
    .description(
      "Deploys what lies in the app's incoming directory: a new release if it changed, fresh instances in any case.",
    )
    .argument("<app>", "the app's name")
    .argument("[hostname]", "a hostname that the app shall have besides those that it has")
    .option(...waitFlag)
    .addHelpText("after", examples("maestro restart shop", "maestro restart shop shop.example.com"))
    .action(async (app: string, hostname: string | undefined, { wait }: DeployFlags) => {
      const input = { app, ...(hostname === undefined ? {} : { hostname }), ...(wait ? { wait } : {}) };
      await deployShown(line, { sendsFirst: false }, (client, signal, onProgress) =>
        client.call("restart", input, { signal, onProgress }),
      );
    });
}

/** What is not said is as it was the last time. What was deployed over SSH is remembered. */
async function deployDirectory(line: CommandLine, directory: string, flags: DeployFlags): Promise<void> {
  const known = await line.parts.project(directory);
  const server = await line.serverOf(async () => known);
  const to = line.to ?? (line.namedServer === undefined ? known.to : undefined);
  const isKnown = to !== undefined && to === known.to;
  const app = flags.app ?? known.app;
  const hostnames = flags.hostname ?? (isKnown ? (known.hostnames ?? []) : []);
  const { app: deployed } = await deployShown(
    line,
    { sendsFirst: true, server },
    (client, signal, onProgress) =>
      deploy({ directory, app, hostnames, wait: flags.wait ?? false, client, signal, onProgress }),
  );
  if (to !== undefined)
    await line.parts.remember(directory, { to, app: deployed, hostnames: [...hostnames] });
}

/** Collects an option that may be given more than once. */
export const collect = (value: string, before: readonly string[] = []) => [...before, value];

type Deploying = (
  client: Session,
  signal: AbortSignal,
  onProgress: (step: DeployStep) => void,
) => Promise<DeployReport>;

/** Shows the steps on standard error while they go on, then the end on standard output. */
async function deployShown(
  line: CommandLine,
  { sendsFirst, server }: { sendsFirst: boolean; server?: string | undefined },
  work: Deploying,
): Promise<DeployReport> {
  const began = line.parts.terminal.now();
  const progress = stepProgress(line.parts.terminal);
  let restarting = !sendsFirst;
  const show = (step: DeployStep) => {
    restarting ||= step.step === "send" && step.state === "done";
    progress.show(step);
  };
  const explain = () =>
    restarting
      ? "interrupted, but the server goes on with this restart by itself; `maestro ps` shows how it ends"
      : "interrupted while the files were being sent; nothing was restarted";
  try {
    const report = await line.interruptible(
      (signal) => line.withServer((client) => work(client, signal, show), server),
      explain,
    );
    progress.end("done");
    line.print(report, (output, screen) => renderDeployed(output, line.parts.terminal.now() - began, screen));
    return report;
  } catch (error) {
    progress.end("failed");
    throw error;
  }
}
