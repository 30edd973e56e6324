#!/usr/bin/env node
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { AppName } from "../src/app/app.ts";
import { IsolationLevel, isolationLevels } from "../src/app/isolation.ts";
import { limitsFor } from "../src/app/limits.ts";
import { becomeApp } from "../src/apprunner/foreground.ts";
import { openHost } from "../src/apprunner/host.ts";
import { defaultHome } from "../src/config.ts";
import { MaestroError, toWire } from "../src/errors.ts";

const usage = `Usage: apprunner --name NAME --port PORT [--process TYPE] [--user UID] [--isolation LEVEL] DIR

Runs the app in DIR in the foreground, in the sandbox in which Maestro would run an instance of it.

  --name NAME      the app's name: a-z, 0-9 and -
  --port PORT      the port it is to listen on, 1 to 65535
  --process TYPE   the process type to run; default: web
  --user UID       the user (and group) that it runs as, when you are root; default: 65534, nobody
  --isolation LEVEL  no more than this: full, userns, landlock, process; default: what the machine can do
`;

/** argv → the app. This process becomes it: same terminal, same pid. */
async function main(): Promise<void> {
  const { help, name, port, processType, directory, user, isolation: atMost } = parse(process.argv.slice(2));
  if (help) {
    process.stdout.write(usage);
    return;
  }
  const { detect } = await import("../src/release/detect.ts");
  const plan = await detect(directory);
  const start = plan.processes[processType];
  if (start === undefined) {
    const types = Object.keys(plan.processes).join(", ");
    throw new MaestroError(
      "NOTHING_TO_RUN",
      `${directory} has no process "${processType}"; it has: ${types}`,
    );
  }
  const host = await openHost({ home: defaultHome(), ...(atMost ? { atMost } : {}) });
  const id = `${processType}.1`;
  const spec = {
    app: name,
    id,
    release: 0,
    directory,
    start,
    port,
    env: plan.env,
    storage: null,
    limits: limitsFor({}, plan.limits),
  };
  if (!host.ownUsers) process.stderr.write(`apprunner: ${host.obstacles.join("; ")}\n`);
  becomeApp({ ...spec, user: host.ownUsers ? user : null }, host);
}

function parse(argv: string[]) {
  const { values, positionals } = parseWords(argv);
  const { help = false, name = "", port = "", process: processType = "web", user = "65534" } = values;
  const [directory = ""] = positionals;
  const isolation = IsolationLevel.optional().safeParse(values.isolation);
  if (!help) {
    if (!AppName.safeParse(name).success) throw wrong("--name is missing, or not an app name such as my-app");
    if (!isNumber(port, 1, 65_535)) throw wrong("--port is missing, or not a number from 1 to 65535");
    if (!isNumber(user, 1, 4_294_967_294)) throw wrong("--user is not the number of a user other than root");
    if (!isolation.success) throw wrong(`--isolation is not one of ${isolationLevels.join(", ")}`);
    if (positionals.length !== 1) throw wrong("name one directory: the one that holds the app");
  }
  return {
    help,
    name,
    port: Number(port),
    processType,
    directory: resolve(directory),
    user: { uid: Number(user), gid: Number(user) },
    isolation: isolation.data,
  };
}

const isNumber = (text: string, least: number, most: number) =>
  /^\d{1,10}$/.test(text) && Number(text) >= least && Number(text) <= most;

function parseWords(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        name: { type: "string" },
        port: { type: "string" },
        process: { type: "string" },
        user: { type: "string" },
        isolation: { type: "string" },
      },
    });
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

const wrong = (sentence: string) => new MaestroError("BAD_INPUT", `${sentence}\n\n${usage}`);

try {
  await main();
} catch (error) {
  const { code, message } = toWire(error);
  process.stderr.write(`apprunner: ${message}\n`);
  process.exitCode = code === "BAD_INPUT" ? 2 : 1;
}
