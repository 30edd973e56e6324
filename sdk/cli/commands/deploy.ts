import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { deployShown } from "../deploy-shown.ts";
import { renderDeployed } from "../render/deploy.ts";
import { examples } from "./example.ts";

type DeployFlags = { app?: string; hostname?: string[]; include?: string[]; wait?: true };

export const waitFlag = [
  "--wait",
  "while another deploy of the app is under way, wait for it instead of failing",
] as const;

export function addDeployCommands(program: Command, line: CommandLine): void {
  program
    .command("deploy")
    .summary("send a directory and put it live")
    .description(
      "Sends DIR to the server on this machine, or with --to over SSH to another, and restarts its app. The earlier release serves until the new one is ready.\n" +
        "After a deploy with --to the server, the app and its hostnames are remembered in .maestro.json of the directory: then `maestro deploy` is enough.\n" +
        "What .gitignore and .maestroignore name is not sent, nor .git and .env, nor node_modules where package.json names dependencies: the server installs those.",
    )
    .argument("[dir]", "the app's directory", ".")
    .option("--app <name>", "the app's name (default: name in package.json, else the directory's name)")
    .option("--hostname <name>", "a hostname that leads to the app; may be given more than once", collect)
    .option(
      "--include <path>",
      "send this although it is left out otherwise, such as node_modules, which is then taken as it is; may be given more than once",
      collect,
    )
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
      await deployShown(
        line,
        { sendsFirst: false },
        (client, signal, onProgress) => client.call("restart", input, { signal, onProgress }),
        renderDeployed,
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
    async (client, signal, onProgress) => {
      // Only now: it is loaded while the session opens.
      const { deploy } = await import("../../deploy.ts");
      const { include = [], wait = false } = flags;
      return deploy({ directory, app, hostnames, include, wait, client, signal, onProgress });
    },
    renderDeployed,
  );
  if (to !== undefined)
    await line.parts.remember(directory, { to, app: deployed, hostnames: [...hostnames] });
}

/** Collects an option that may be given more than once. */
export const collect = (value: string, before: readonly string[] = []) => [...before, value];
