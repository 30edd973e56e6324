/**
 * What a rollback costs: `npm run bench:rollback`.
 *
 * Back and forth between two releases, from the RPC call to switched traffic (the answer), and to the first answer of
 * that release through the proxy: warm, where the replaced instance was kept frozen, and cold, where it was not.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fetchFrom } from "../test/support/load.ts";
import { fixture, TestMaestro } from "../test/support/maestro.ts";
import { machine, median, quantile, table } from "./support/table.ts";

const rounds = Number(process.argv[2] ?? 30);
const run = promisify(execFile);

type Times = { switched: number[]; answered: number[] };

async function backAndForth(maestro: TestMaestro, app: string, directory: string): Promise<Times> {
  const client = await maestro.client();
  const times: Times = { switched: [], answered: [] };
  const begin = maestro.logLength;
  await maestro.deploy(app, directory, { "version.js": 'export const version = "one";\n' });
  await maestro.change(app, { "version.js": 'export const version = "two";\n' });
  await maestro.until("app.settled", (entry) => entry["app"] === app && entry["release"] === 2, begin);
  for (let round = 0; round < rounds; round += 1) {
    const to = round % 2 === 0 ? 1 : 2;
    const since = maestro.logLength;
    const began = performance.now();
    await client.call("rollback", { app, to });
    times.switched.push(performance.now() - began);
    const { body } = await fetchFrom(maestro.httpPort, `${app}.test`);
    times.answered.push(performance.now() - began);
    const expected = to === 1 ? "one" : "two";
    if (!body.includes(expected)) throw new Error(`${app} answered ${body} instead of ${expected}`);
    // What comes after the answer (the replaced instance is frozen, or ends) belongs to this round.
    await maestro.until("app.settled", (entry) => entry["app"] === app, since);
  }
  return times;
}

/** A copy of a fixture with its packages installed. */
async function prepare(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-bench-"));
  await cp(fixture(name), directory, { recursive: true });
  await run("npm", ["install", "--no-audit", "--no-fund"], { cwd: directory });
  return directory;
}

const ms = (value: number) => `${value.toFixed(1)} ms`;

async function measure(flags: string[], kind: string, directories: Map<string, string>): Promise<string[][]> {
  await using maestro = await TestMaestro.start("--request-drain", "1", "--stream-drain", "0", ...flags);
  const rows: string[][] = [];
  for (const [name, directory] of directories) {
    const { switched, answered } = await backAndForth(maestro, name, directory);
    const spread = [median(switched), quantile(switched, 0.9), Math.max(...switched), median(answered)];
    rows.push([`${name}, ${kind}`, ...spread.map(ms)]);
  }
  return rows;
}

const directories = new Map<string, string>();
try {
  for (const name of ["traffic", "express", "fastify"]) directories.set(name, await prepare(name));
  const rows = [
    ...(await measure(["--warm", "600"], "warm", directories)),
    ...(await measure(["--warm", "0"], "cold", directories)),
  ];
  console.log(`rollback, ${rounds} rounds, medians\n${machine()}\n`);
  console.log(table(["app", "call to switch", "p90", "longest", "call to first answer"], rows));
} finally {
  for (const directory of directories.values()) await rm(directory, { recursive: true, force: true });
}
