import { type Command, Option } from "commander";
import { isolationLevels } from "../../../src/app/isolation.ts";
import type { CheckReport } from "../../../src/protocol/reload.ts";
import type { CommandLine } from "../command-line.ts";
import { collect } from "./deploy.ts";
import { examples } from "./example.ts";

/** How a setting is written as an option. Its name in Config follows from the option's. */
type SettingOption = { flag: string; help: string; choices?: readonly string[]; repeatable?: true };

/**
 * Every setting of `serve`. The defaults stand in the help only: what is not given here may be given by
 * MAESTRO_… or in maestro.json, and src/config.ts decides.
 */
export const settingOptions: Record<string, SettingOption> = {
  home: {
    flag: "--home <dir>",
    help: "everything that Maestro keeps (default: /var/lib/maestro as root, else ~/.maestro)",
  },
  http: {
    flag: "--http <addr>",
    help: "where the proxy listens: host:port or :port, port 0 takes a free one; may be given more than once (default: :8000)",
    repeatable: true,
  },
  domain: {
    flag: "--domain <name>",
    help: "an app without a hostname is reached at APP.<name> (default: localhost)",
  },
  rpc: {
    flag: "--rpc <addr>",
    help: "where commands and DNode clients are answered; beyond this machine only with a token (default: 127.0.0.1:7272)",
  },
  rpcToken: {
    flag: "--rpc-token <token>",
    help: "what RPC clients have to know, 16 characters or more; rather set MAESTRO_RPC_TOKEN, since options show in ps (default: none)",
  },
  workers: { flag: "--workers <n>", help: "how many proxy workers (default: the number of cores)" },
  isolation: {
    flag: "--isolation <level>",
    help: "refuse to start apps below this level (default: what the machine can do)",
    choices: isolationLevels,
  },
  hold: {
    flag: "--hold <seconds>",
    help: "how long a request waits for an app that is starting (default: 10)",
  },
  answerTimeout: {
    flag: "--answer-timeout <seconds>",
    help: "how long an app may take to begin its answer (default: 60)",
  },
  requestDrain: {
    flag: "--request-drain <seconds>",
    help: "how long requests may go on at a replaced instance (default: 30)",
  },
  streamDrain: {
    flag: "--stream-drain <seconds>",
    help: "how long WebSockets and event streams may go on at it (default: 10)",
  },
  stopGrace: {
    flag: "--stop-grace <seconds>",
    help: "how long an app may take to end after SIGTERM (default: 30)",
  },
  warm: {
    flag: "--warm <seconds>",
    help: "how long replaced instances are kept frozen, for a rollback at once; 0: not at all (default: 600)",
  },
  warmInstances: {
    flag: "--warm-instances <n>",
    help: "how many of all apps are kept so at most (default: 10)",
  },
  readyTimeout: {
    flag: "--ready-timeout <seconds>",
    help: "how long an app may take until it is ready (default: 30)",
  },
  releaseTimeout: {
    flag: "--release-timeout <seconds>",
    help: "how long the release process of a Procfile may take (default: 600)",
  },
  buildTimeout: {
    flag: "--build-timeout <seconds>",
    help: "how long a build may take (default: 900)",
  },
  buildMemory: {
    flag: "--build-memory <amount>",
    help: "what each program of a build may use, whatever its app asks for, such as 1G (default: what it asks for, else 2G or three quarters of the machine's)",
  },
  buildCpu: {
    flag: "--build-cpu <share>",
    help: "likewise of the CPU, such as 50% of one core (default: what it asks for, else no limit)",
  },
  keepReleases: {
    flag: "--keep-releases <n>",
    help: "how many releases that have served are kept, the current one and the one before it in any case (default: 5)",
  },
  keepReleaseDays: {
    flag: "--keep-release-days <days>",
    help: "how old a kept release may become, those two excepted (default: 90)",
  },
  maxConnections: {
    flag: "--max-connections <n>",
    help: "connections of clients that one proxy worker takes; what is more gets 503 (default: 16000)",
  },
  trustedProxies: {
    flag: "--trusted-proxies <cidr>",
    help: "proxies whose X-Forwarded-* headers are believed: addresses or CIDR ranges, with commas or given more than once (default: none)",
    repeatable: true,
  },
  logSize: {
    flag: "--log-size <MB>",
    help: "how large a file of an app's output may become before a new one is begun (default: 10)",
  },
  logFiles: {
    flag: "--log-files <n>",
    help: "how many such files are kept of each output of an instance, 2 or more (default: 5)",
  },
  sshUser: {
    flag: "--ssh-user <name>",
    help: "as whom developers log in over SSH, where Maestro is root; made with the first key (default: maestro; else your own user)",
  },
  authorizedKeys: {
    flag: "--authorized-keys <file>",
    help: "the file in which sshd looks for that user's keys (default: .ssh/authorized_keys in his home)",
  },
  couch: {
    flag: "--couch <url>",
    help: "the database of apps: embedded, none, or the URL of a CouchDB 3 with its administrator; rather set MAESTRO_COUCH, since options show in ps (default: embedded)",
  },
  stopApps: {
    flag: "--stop-apps",
    help: "at SIGTERM end the apps and proxy workers as well, instead of leaving them serving (default: no)",
  },
  accessLog: { flag: "--access-log", help: "log each request (default: no)" },
  logLevel: {
    flag: "--log-level <level>",
    help: "what is logged (default: info)",
    choices: ["debug", "info", "warn", "error"],
  },
};

export function addServeCommand(program: Command, line: CommandLine): void {
  const serve = program
    .command("serve")
    .summary("run Maestro in the foreground")
    .description(
      "Runs Maestro in the foreground and logs lines of JSON on standard output.\n" +
        "Each option is also a variable (--stream-drain: MAESTRO_STREAM_DRAIN) and a key of <home>/maestro.json (streamDrain); the option wins, then the variable.",
    )
    .addHelpText(
      "after",
      examples("maestro serve", "maestro serve --home ./.maestro --http 127.0.0.1:8000 --http :8080"),
    )
    .option(
      "--check",
      "start nothing: tell whether this version could take over what runs (as `maestro reload` asks)",
    )
    .action(async ({ check, ...flags }: Record<string, unknown>) => {
      if (check === true) line.print(await line.parts.check(flags), renderCheck);
      else await line.parts.serve(flags);
    });
  addSettingOptions(serve);
}

/** An option for every setting. */
export function addSettingOptions(command: Command): void {
  for (const setting of Object.values(settingOptions)) command.addOption(optionOf(setting));
}

function renderCheck({ version, node, home, apps, instances, workers }: CheckReport): string {
  return `Version ${version} on Node ${node} could take over ${home}: ${apps} apps, ${instances} instances and ${workers.running} proxy workers that run.\n`;
}

function optionOf({ flag, help, choices, repeatable }: SettingOption): Option {
  const option = new Option(flag, help);
  if (choices) option.choices(choices);
  if (repeatable) option.argParser(collectList);
  return option;
}

/** `--trusted-proxies a,b --trusted-proxies c` → ["a", "b", "c"] */
const collectList = (value: string, before?: readonly string[]) =>
  value.split(",").reduce<string[]>((all, part) => collect(part.trim(), all), [...(before ?? [])]);
