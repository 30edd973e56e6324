/**
 * What stays resident for an instance besides the app's own programs: `npm run bench:footprint`.
 *
 * Three apps that wait, each started in another way. From /proc/PID/smaps_rollup: resident (RSS) counts what is shared
 * with other processes as a whole, its share (PSS) in parts, private not at all.
 */
import { join } from "node:path";
import { fixture, repository, TestMaestro } from "../test/support/maestro.ts";
import { footprintOf, type Memory } from "../test/support/memory.ts";
import { machine, table } from "./support/table.ts";

const apps = [
  { name: "program", title: "node app.js", directory: fixture("moody") },
  { name: "line", title: "package.json, scripts.start", directory: fixture("traffic") },
  { name: "site", title: "static files", directory: join(repository, "examples/express-chat/public") },
];

async function rowOf(maestro: TestMaestro, { name, title }: (typeof apps)[number]): Promise<string[]> {
  const [instance] = await (await maestro.client()).call("ps", { app: name });
  if (!instance) throw new Error(`nothing of ${name} runs`);
  const runDirectory = join(maestro.home, "run/instances", instance.key);
  const { beside, programs, names } = footprintOf({ pid: instance.pid, runDirectory });
  return [title, String(names.length), ...figures(beside), ...figures(programs)];
}

const figures = ({ residentKiB, shareKiB, privateKiB }: Memory) =>
  [residentKiB, shareKiB, privateKiB].map((value) => (value / 1024).toFixed(2));

const maestro = await TestMaestro.start();
try {
  for (const { name, directory } of apps) await maestro.deploy(name, directory);
  const rows: string[][] = [];
  for (const app of apps) rows.push(await rowOf(maestro, app));
  console.log(`resident for an instance, MiB\n${machine()}\n`);
  console.log(table(["", "beside it", "RSS", "PSS", "private", "its programs: RSS", "PSS", "private"], rows));
} finally {
  await maestro[Symbol.asyncDispose]();
}
