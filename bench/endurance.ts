/**
 * What many deploys leave behind: `npm run bench:endurance -- [DEPLOYS]`.
 *
 * One app of some hundred files, of which a few change with every deploy, under light load. Disk by allocated blocks,
 * each file once however many releases share it; memory from /proc/PID/smaps_rollup, after a collection of garbage.
 * Exits with 1 when a request failed, or when what should stay the same grew.
 */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Load } from "../test/support/load.ts";
import { fixture, TestMaestro } from "../test/support/maestro.ts";
import { memoryOf } from "../test/support/memory.ts";
import { allocatedMiB } from "./support/disk.ts";
import { heapInUseMiB } from "./support/heap.ts";
import { machine, table } from "./support/table.ts";

const deploys = Number(process.argv[2] ?? 100);
const files = 300;
const changedFiles = 3;
const app = "endurance";
const shares = [0, 0.1, 0.25, 0.5, 0.75, 1];
const marks = new Set(shares.map((share) => Math.round(share * deploys)));
/** Before it, caches fill and code is compiled; from it on, nothing should grow by more than a tenth. */
const settledAt = Math.round(0.25 * deploys);

type Sample = { deploy: number; figures: Map<string, number> };

/** Figures by title; sizes in MiB. */
async function measure(maestro: TestMaestro): Promise<Map<string, number>> {
  const place = join(maestro.home, "apps", app);
  const { workers } = await (await maestro.client()).call("status", {});
  const figures = new Map([
    ["home", await allocatedMiB(maestro.home)],
    ["releases", await allocatedMiB(join(place, "releases"))],
    ["kept", (await readdir(join(place, "releases"))).filter((name) => /^v\d+$/.test(name)).length],
    ["logs", await allocatedMiB(join(place, "logs"))],
    ["state", await allocatedMiB(join(maestro.home, "state"))],
  ]);
  const pids: [string, number][] = [["controller", maestro.pid]];
  for (const [index, { pid }] of workers.entries()) pids.push([`worker ${index + 1}`, pid]);
  for (const [name, pid] of pids) {
    figures.set(`${name} heap`, await heapInUseMiB(pid));
    const { residentKiB, shareKiB, privateKiB } = memoryOf(pid);
    figures.set(`${name} RSS`, residentKiB / 1024);
    figures.set(`${name} PSS`, shareKiB / 1024);
    figures.set(`${name} private`, privateKiB / 1024);
    figures.set(`${name} open files`, (await readdir(`/proc/${pid}/fd`)).length);
  }
  return figures;
}

async function deployAgain(maestro: TestMaestro, count: number): Promise<void> {
  const changed = Array.from({ length: changedFiles }, (_, index) => (count * changedFiles + index) % files);
  const since = maestro.logLength;
  await maestro.change(app, {
    "version.js": `export const version = "v${count}";\n`,
    ...Object.fromEntries(changed.map((index) => [fileName(index), content(index, count)])),
  });
  await maestro.until("app.settled", () => true, since);
}

const fileName = (index: number) => `lib/part-${index}.js`;
const content = (index: number, count: number) =>
  `// ${index}, ${count}\n${"export const line = 1;\n".repeat(50)}`;

async function run(maestro: TestMaestro): Promise<{ samples: Sample[]; failures: number }> {
  await maestro.deploy(app, fixture("traffic"));
  const lib = join(maestro.home, "apps", app, "incoming/lib");
  await mkdir(lib);
  for (let index = 0; index < files; index += 1) {
    await writeFile(join(lib, `part-${index}.js`), content(index, 0));
  }
  await deployAgain(maestro, 0);
  const paths = { "keep-alive": "/slow?ms=20", close: "/slow?ms=20" };
  const load = new Load(maestro.httpPort, `${app}.test`, { clients: { "keep-alive": 2, close: 1 }, paths });
  await load.more(100);
  const samples: Sample[] = [];
  let failures = 0;
  for (let count = 0; count <= deploys; count += 1) {
    if (count > 0) await deployAgain(maestro, count);
    if (marks.has(count)) samples.push({ deploy: count, figures: await measure(maestro) });
    failures += load.take().failures.length;
  }
  await load.end();
  return { samples, failures: failures + load.take().failures.length };
}

/** Titles whose figure grew by more than a tenth, and by more than a little, after it should have settled. */
function grown(samples: readonly Sample[]): string[] {
  const settled = samples.find(({ deploy }) => deploy >= settledAt)?.figures;
  const last = samples.at(-1)?.figures;
  return [...(last?.keys() ?? [])].filter((title) => {
    const [before, after] = [settled?.get(title) ?? 0, last?.get(title) ?? 0];
    return after > before * 1.1 && after - before > 1;
  });
}

const maestro = await TestMaestro.start("--warm", "0");
try {
  const { samples, failures } = await run(maestro);
  const titles = [...(samples[0]?.figures.keys() ?? [])];
  const rows = titles.map((title) => [
    title,
    ...samples.map(({ figures }) => (figures.get(title) ?? Number.NaN).toFixed(1)),
  ]);
  console.log(
    `${deploys} deploys, ${changedFiles + 1} of ${files} files changed in each; sizes in MiB\n${machine()}\n`,
  );
  console.log(table(["after deploy", ...samples.map(({ deploy }) => String(deploy))], rows));
  const growing = grown(samples);
  console.log(`\nrequests that failed: ${failures}`);
  console.log(growing.length === 0 ? `flat from deploy ${settledAt} on` : `grew: ${growing.join(", ")}`);
  if (failures > 0 || growing.length > 0) process.exitCode = 1;
} finally {
  await maestro[Symbol.asyncDispose]();
}
