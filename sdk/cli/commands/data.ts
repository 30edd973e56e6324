import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import type { Command } from "commander";
import { isSystemError, MaestroError } from "../../../src/errors.ts";
import type { Transferred } from "../../data/database.ts";
import { exportDatabase } from "../../data/export.ts";
import { importDatabase } from "../../data/import.ts";
import type { CommandLine } from "../command-line.ts";
import { renderData } from "../render/data.ts";
import { harmless } from "../render/screen.ts";
import { examples } from "./example.ts";

export function addDataCommands(program: Command, line: CommandLine): void {
  const data = program
    .command("data")
    .summary("look at the apps' databases, replicate, export and import them")
    .description("The databases of apps: how they are, their second home, and files of them.")
    .addHelpText("after", examples("maestro data status", "maestro data export shop shop.jsonl"));
  data
    .command("status")
    .summary("tell how the databases are")
    .description("Tells from where each database is served, and how far its replication is.")
    .argument("[app]", "only this app's")
    .addHelpText("after", examples("maestro data status shop"))
    .action((app?: string) => line.answer("data_status", app === undefined ? {} : { app }, renderData));
  data
    .command("replicate")
    .summary("give databases a second home on another server")
    .description(
      "Replicates the database of an app, or those of all that have one, to another CouchDB and back, live.\n" +
        "When the local database fails, apps go on at the other one.\n" +
        "--remote names it: https://user:password@host; - reads that from standard input, since options show in ps.",
    )
    .argument("[app]", "only this app's")
    .option("--remote <url>", "the other server, or a database of it; - for standard input")
    .option("--stop", "take the second home away; what it has stays there")
    .addHelpText(
      "after",
      examples("maestro data replicate shop --remote - < remote-url", "maestro data replicate shop --stop"),
    )
    .action((app: string | undefined, options: Replicate) => replicate(line, app, options));
  data
    .command("export")
    .summary("write an app's database to a file")
    .description(
      "Writes a database as lines of JSON, a line for each document with its attachments, to a file or to standard\n" +
        "output. Has to run on the server's own machine.",
    )
    .argument("<app>", "the app's name")
    .argument("[file]", "where to (default: standard output)")
    .addHelpText("after", examples("maestro data export shop shop.jsonl"))
    .action((app: string, file?: string) => exportTo(line, app, file));
  data
    .command("import")
    .summary("read an app's database from a file")
    .description(
      "Writes what was exported into an app's database, each revision as it was. What is there already stays.\n" +
        "Reads files of couchbackup too. Has to run on the server's own machine.",
    )
    .argument("<app>", "the app's name")
    .argument("[file]", "where from (default: standard input)")
    .addHelpText("after", examples("maestro data import shop shop.jsonl"))
    .action((app: string, file?: string) => importFrom(line, app, file));
}

type Replicate = { remote?: string; stop?: true };

async function replicate(line: CommandLine, app: string | undefined, { remote, stop }: Replicate) {
  const to = line.secondHome(remote);
  if ((to === undefined) === (stop === undefined)) {
    throw new MaestroError("BAD_INPUT", "say where to with --remote URL, or --stop", {});
  }
  const url = to === "-" ? (await line.parts.terminal.readInput()).trim() : (to ?? null);
  const input = { to: url, ...(app === undefined ? {} : { app }) };
  await line.answer("data_replicate", input, ({ apps }) => {
    if (apps.length === 0) return "No app has a database yet.\n";
    const what = url === null ? "have one home again" : "are replicated both ways from now on";
    return `The databases of ${harmless(apps.join(", "))} ${what}.\n`;
  });
}

/** With the documents on standard output, what is said goes to standard error. */
async function exportTo(line: CommandLine, app: string, file: string | undefined): Promise<void> {
  const { url } = await line.withServer((session) => session.call("data_access", { app }));
  const shown = progress(line, "exported");
  const work = (output: Writable) =>
    line.interruptible((signal) => writingTo(output, (write) => exportDatabase(url, write, shown, signal)));
  const done = file === undefined ? await work(process.stdout) : await asWholeFile(file, work);
  end(line, done, "Exported", file !== undefined);
}

/** Rejects too when the output fails. */
async function writingTo<T>(
  output: Writable,
  work: (write: (text: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const failed = once(output, "error").then(([error]) => Promise.reject(error));
  failed.catch(() => {}); // It is raced against below.
  const write = async (text: string) => {
    if (!output.write(text)) await Promise.race([once(output, "drain"), failed]);
  };
  return Promise.race([work(write), failed]);
}

/** There is a file of that name only when all of it is in it: half an export looks like one of a smaller database. */
async function asWholeFile<T>(file: string, work: (output: Writable) => Promise<T>): Promise<T> {
  const part = `${file}.part`;
  const output = createWriteStream(part, { mode: 0o600, flush: true });
  await once(output, "open").catch((error: unknown) => Promise.reject(unusable("write", file, error)));
  try {
    const done = await work(output);
    output.end();
    await once(output, "close");
    await rename(part, file);
    return done;
  } catch (error) {
    output.destroy();
    await rm(part, { force: true });
    throw isSystemError(error, "ENOSPC", "EDQUOT", "EIO") ? unusable("write", file, error) : error;
  }
}

async function importFrom(line: CommandLine, app: string, file: string | undefined): Promise<void> {
  const { url } = await line.withServer((session) => session.call("data_access", { app }));
  const input = file === undefined ? process.stdin : createReadStream(file);
  if (file !== undefined) {
    await once(input, "open").catch((error: unknown) => Promise.reject(unusable("read", file, error)));
  }
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const shown = progress(line, "imported");
  const done = await line.interruptible((signal) => importDatabase(url, lines, shown, signal));
  const how = done.verified ? "Imported and verified" : "Imported (the file holds no checksum to verify)";
  end(line, done, how, true);
}

const unusable = (what: "read" | "write", file: string, error: unknown) =>
  new MaestroError("BAD_INPUT", `cannot ${what} ${file}: ${(error as Error).message}`, { file });

/** A line on standard error that is refreshed in place; nothing where nobody looks. */
function progress({ parts: { terminal } }: CommandLine, verb: string) {
  let last = 0;
  return ({ revisions, bytes, of }: { revisions: number; bytes: number; of?: number }) => {
    if (!terminal.stderr.isTTY || terminal.now() - last < 100) return;
    last = terminal.now();
    const total = of === undefined ? "" : ` of ${of}`;
    const share = of === undefined || of === 0 ? "" : `${bar(revisions / of)} `;
    terminal.stderr.write(`\r\u001b[2K${share}${verb} ${revisions}${total} documents, ${megabytes(bytes)}`);
  };
}

const bar = (share: number) => `[${"=".repeat(Math.round(share * 20)).padEnd(20)}]`;
const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

function end(line: CommandLine, done: Transferred, verb: string, toOutput: boolean): void {
  const { stdout, stderr } = line.parts.terminal;
  if (stderr.isTTY) stderr.write("\r\u001b[2K");
  const text = `${verb} ${done.documents} documents (${done.revisions} revisions, ${done.attachments} attachments, ${megabytes(done.bytes)}), SHA-256 ${done.sha256}\n`;
  if (!toOutput) stderr.write(text);
  else stdout.write(line.json ? `${JSON.stringify(done)}\n` : text);
}
