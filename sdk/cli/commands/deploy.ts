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
      "Sends DIR to the server on this machine and restarts its app. The earlier release serves until the new one is ready.\n" +
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
      ),
    )
    .action((directory: string, { app, hostname = [], wait }: DeployFlags) =>
      deployShown(line, { sendsFirst: true }, (client, signal, onProgress) =>
        deploy({ directory, app, hostnames: hostname, wait: wait ?? false, client, signal, onProgress }),
      ),
    );
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
    .action((app: string, hostname: string | undefined, { wait }: DeployFlags) => {
      const input = { app, ...(hostname === undefined ? {} : { hostname }), ...(wait ? { wait } : {}) };
      return deployShown(line, { sendsFirst: false }, (client, signal, onProgress) =>
        client.call("restart", input, { signal, onProgress }),
      );
    });
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
  { sendsFirst }: { sendsFirst: boolean },
  work: Deploying,
): Promise<void> {
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
      (signal) => line.withServer((client) => work(client, signal, show)),
      explain,
    );
    progress.end("done");
    line.print(report, (output, screen) => renderDeployed(output, line.parts.terminal.now() - began, screen));
  } catch (error) {
    progress.end("failed");
    throw error;
  }
}
