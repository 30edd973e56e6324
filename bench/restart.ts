/**
 * What a restart costs beyond the app's own start: `npm run bench:restart`.
 *
 * In turn, on the same files: the app's own time from spawn to its first answer, and the time from the RPC call of
 * `restart` to switched traffic. The difference of the medians is Maestro's overhead.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fixture, TestMaestro } from "../test/support/maestro.ts";
import { bareStart } from "./support/bare-start.ts";
import { machine, median, quantile, table } from "./support/table.ts";

const rounds = Number(process.argv[2] ?? 20);
const run = promisify(execFile);

async function measure(maestro: TestMaestro, name: string, directory: string): Promise<string[]> {
  const client = await maestro.client();
  const bare: number[] = [];
  const changed: number[] = [];
  const unchanged: number[] = [];
  await maestro.deploy(name, directory);
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await bareStart(directory));
    const path = join(maestro.home, "apps", name, "incoming", "version.js");
    await writeFile(path, `export const version = "round ${round}";\n`);
    for (const times of [changed, unchanged]) {
      const since = maestro.logLength;
      times.push(await timed(() => client.call("restart", { app: name })));
      // What comes after the answer (the old instance ends, an old release goes) belongs to this round.
      await maestro.until("app.settled", (entry) => entry["app"] === name, since);
    }
  }
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  const over = (values: number[]) => ms(median(values) - median(bare));
  return [
    name,
    ms(median(bare)),
    ms(median(changed)),
    ms(quantile(changed, 0.9)),
    over(changed),
    ms(median(unchanged)),
    over(unchanged),
  ];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** A copy of a fixture with its packages installed. */
async function prepare(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-bench-"));
  await cp(fixture(name), directory, { recursive: true });
  await run("npm", ["install", "--no-audit", "--no-fund"], { cwd: directory });
  return directory;
}

const maestro = await TestMaestro.start("--warm", "0", "--request-drain", "1", "--stream-drain", "0");
const directories: string[] = [];
try {
  const rows: string[][] = [];
  for (const name of ["traffic", "express", "fastify"]) {
    const directory = await prepare(name);
    directories.push(directory);
    rows.push(await measure(maestro, name, directory));
  }
  console.log(`restart, ${rounds} rounds, medians\n${machine()}\n`);
  const head = [
    "app",
    "own start",
    "restart, 1 file changed",
    "p90",
    "overhead",
    "restart, unchanged",
    "overhead",
  ];
  console.log(table(head, rows));
} finally {
  await maestro[Symbol.asyncDispose]();
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
}
