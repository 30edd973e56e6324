#!/usr/bin/env node
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { AppName } from "../src/app/app.ts";
import { becomeApp } from "../src/apprunner/foreground.ts";
import { staticServer } from "../src/apprunner/static-runtime.ts";
import { MaestroError, toWire } from "../src/errors.ts";

const usage = `Usage: apprunner --name NAME --port PORT [--process TYPE] DIR

Runs the app in DIR in the foreground, as Maestro would run an instance of it.

  --name NAME      the app's name: a-z, 0-9 and -
  --port PORT      the port it is to listen on, 1 to 65535
  --process TYPE   the process type to run; default: web
`;

/** argv → the app. This process becomes it: same terminal, same pid. */
async function main(): Promise<void> {
  const { help, name, port, processType, directory } = parse(process.argv.slice(2));
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
  becomeApp(
    { app: name, id: `${processType}.1`, release: 0, directory, start, port, env: plan.env, user: null },
    { node: process.execPath, staticServer },
  );
}

function parse(argv: string[]) {
  const { values, positionals } = parseWords(argv);
  const { help = false, name = "", port = "", process: processType = "web" } = values;
  const [directory = ""] = positionals;
  if (!help) {
    if (!AppName.safeParse(name).success) throw wrong("--name is missing, or not an app name such as my-app");
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
      throw wrong("--port is missing, or not a number from 1 to 65535");
    }
    if (positionals.length !== 1) throw wrong("name one directory: the one that holds the app");
  }
  return { help, name, port: Number(port), processType, directory: resolve(directory) };
}

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
