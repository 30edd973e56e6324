import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync, type WriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { z } from "zod";
import { stepProgress } from "../sdk/cli/progress.ts";
import { renderFailure } from "../sdk/cli/render/failure.ts";
import { wantsColor } from "../sdk/cli/render/screen.ts";
import { processTerminal } from "../sdk/cli/terminal.ts";
import { connect } from "../sdk/client.ts";
import { deploy } from "../sdk/deploy.ts";
import { toWire } from "../src/errors.ts";

/**
 * `npm start`: a Maestro of its own with its state in ./.maestro, examples/hello deployed, until Ctrl-C ends all of
 * it. Its log goes to .maestro/serve.log.
 */
const root = join(import.meta.dirname, "..");
const home = join(root, ".maestro");
const logFile = join(home, "serve.log");
const terminal = processTerminal();
const oneKeystrokeMs = 500;

const Ready = z.object({
  msg: z.literal("maestro.ready"),
  http: z.array(z.string()).min(1),
  rpc: z.string(),
});
type Ready = z.infer<typeof Ready>;

await story();

async function story(): Promise<void> {
  const server = await startServer();
  endTogether(server);
  try {
    const ready = await untilReady(server);
    const address = await deployHello(ready.rpc);
    console.log(invitation(address, ready.rpc));
  } catch (error) {
    if (!server.ending) await tellFailure(error);
    end(server);
  }
  const [code] = await server.exited;
  if (!server.ending) await tellFailure(new Error(`Maestro ended by itself (exit code ${code})`));
}

type Server = {
  child: ChildProcessByStdio<null, Readable, Readable>;
  exited: Promise<unknown[]>;
  /** Whether its end is wanted: by Ctrl-C, or because something failed. */
  ending: boolean;
};

async function startServer(): Promise<Server> {
  const http = (await isFree(8000)) ? ":8000" : ":0";
  const rpc = (await isFree(7272, "127.0.0.1")) ? "127.0.0.1:7272" : "127.0.0.1:0";
  const entry = join(root, "bin", "maestro.ts");
  const child = spawn(process.execPath, [entry, "serve", "--home", home, "--http", http, "--rpc", rpc], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own: the terminal's Ctrl-C comes here alone, and is passed on once.
    detached: true,
  });
  // "close" comes after the last of its output, so that the log file has it.
  return { child, exited: once(child, "close"), ending: false };
}

/** A guess at best: somebody may take the port in between. Then serve says so and ends. */
async function isFree(port: number, host?: string): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, "listening");
    return true;
  } catch {
    // In use, or not ours to take: either way another one is needed.
    return false;
  } finally {
    probe.close();
  }
}

/** Resolves when the server has said so in its log and the proxy answers. All of the log goes to the log file. */
async function untilReady({ child, exited }: Server): Promise<Ready> {
  const log = openLog();
  child.stderr.pipe(log, { end: false });
  const said = new Promise<Ready>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      log.write(`${line}\n`);
      const ready = readyIn(line);
      if (ready !== null) resolve(ready);
    });
  });
  const gone = exited.then(([code]): never => {
    throw new Error(`Maestro ended before it was ready (exit code ${code})`);
  });
  const ready = await Promise.race([said, gone]);
  await ping(ready.http[0] ?? "");
  return ready;
}

function openLog(): WriteStream {
  mkdirSync(home, { recursive: true });
  return createWriteStream(logFile, { flags: "a" });
}

function readyIn(line: string): Ready | null {
  try {
    return Ready.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    // Not a line of the log, such as a warning of Node: it is in the log file like the others.
    return null;
  }
}

async function ping(address: string): Promise<void> {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  const question = request({
    host: "127.0.0.1",
    port,
    path: "/_ping_",
    headers: { host: "start.invalid" },
  }).end();
  const [answer]: IncomingMessage[] = await once(question, "response");
  answer?.resume();
  if (answer?.statusCode !== 200)
    throw new Error(`the proxy answered /_ping_ with status ${answer?.statusCode}`);
}

async function deployHello(rpc: string): Promise<string> {
  const client = await connect({ server: rpc });
  const progress = stepProgress(terminal);
  try {
    const report = await deploy({
      client,
      directory: join(root, "examples", "hello"),
      hostnames: ["hello.localhost"],
      onProgress: (step) => progress.show(step),
    });
    progress.end("done");
    return report.urls[0] ?? "http://hello.localhost/";
  } catch (error) {
    progress.end("failed");
    throw error;
  } finally {
    client.close();
  }
}

function invitation(address: string, rpc: string): string {
  const server = rpc === "127.0.0.1:7272" ? "" : ` --server ${rpc}`;
  const maestro = `bin/maestro${server}`;
  return `
  Maestro runs, and so does its first app:  ${address}

  Try next, with that page open, in a second terminal:
    change examples/hello/page.html, then    ${maestro} deploy examples/hello
    see what runs                            ${maestro} ps
    read what it writes                      ${maestro} logs hello -f

  Ctrl-C ends all of it. The log is in .maestro/serve.log.
`;
}

/**
 * SIGTERM would leave apps serving, so everything is passed on as SIGINT. One Ctrl-C comes twice, from the terminal
 * and from npm; a later second one is meant, and makes the server end without waiting for what is under way.
 */
function endTogether(server: Server): void {
  let last = Number.NEGATIVE_INFINITY;
  const onSignal = () => {
    const now = performance.now();
    if (now - last > oneKeystrokeMs) end(server);
    last = now;
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
}

function end(server: Server): void {
  if (!server.ending) console.error("\n  Maestro and its apps are ending.");
  server.ending = true;
  server.child.kill("SIGINT");
}

async function tellFailure(error: unknown): Promise<void> {
  const { isTTY } = terminal.stderr;
  const screen = { color: wantsColor(isTTY, terminal.env), terminal: isTTY, now: terminal.now() };
  const log = await readFile(logFile, "utf8").catch(() => "");
  const lastLines = log.trimEnd().split("\n").slice(-10).join("\n");
  console.error(
    `\n${renderFailure(toWire(error), screen)}\nThe last lines of .maestro/serve.log:\n${lastLines}`,
  );
  process.exitCode = 1;
}
