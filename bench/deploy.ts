/**
 * What a deploy over SSH costs: `npm run bench:deploy -- [ROUNDS]`.
 *
 * A real sshd on loopback with a real key. In turn, on the same trees: `maestro deploy --to` of 10,000 files, unchanged
 * and with one line changed; `git push` of one changed line; the same of an app whose dependencies were installed on the
 * server before, without a build script and with one; and as the floor plain rsync over ssh of the same tree to the same
 * sshd. From what a deploy takes the app's own start, from spawn to its first answer, is taken off.
 */
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fixture } from "../test/support/maestro.ts";
import { SshWorld } from "../test/support/ssh-world.ts";
import { type Developer, runProgram, TestSshd } from "../test/support/sshd.ts";
import { bareStart } from "./support/bare-start.ts";
import { machine, median, quantile, table } from "./support/table.ts";

const rounds = Number(process.argv[2] ?? 7);
const run = promisify(execFile);

const files = 10_000;
const fileBytes = 10_000;

/** The fixture `traffic`, and 10,000 files of 10 KB in 100 directories beside it. */
async function makeTree(directory: string, count: number): Promise<void> {
  await cp(fixture("traffic"), directory, { recursive: true });
  for (let number = 0; number < count; number++) {
    const parent = join(directory, "library", String(number % 100));
    if (number < 100) await mkdir(parent, { recursive: true });
    await writeFile(join(parent, `${number}.js`), `// ${number}\n`.padEnd(fileBytes, `line ${number}\n`));
  }
}

async function timed(work: () => Promise<{ code: number | null; stderr: string }>): Promise<number> {
  const began = performance.now();
  const { code, stderr } = await work();
  if (code !== 0) throw new Error(stderr);
  return performance.now() - began;
}

const change = (directory: string, round: number) =>
  writeFile(join(directory, "version.js"), `export const version = "round ${round}";\n`);

/** Plain rsync over ssh with a key that may do everything, to a directory of the same disk. */
async function plainRsync(): Promise<{
  send(tree: string): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const home = await mkdtemp(join(tmpdir(), "maestro-bench-"));
  const sshd = await TestSshd.start({ authorizedKeys: join(home, "authorized_keys") });
  const who = await sshd.developer("plain");
  await cp(who.publicKey, join(home, "authorized_keys"));
  await chmod(home, 0o755);
  const user = (await run("id", ["-un"])).stdout.trim();
  const shell = `ssh -F ${who.config} -p ${sshd.port}`;
  return {
    send: (tree) =>
      timed(() =>
        runProgram("rsync", ["-a", "--delete", "-e", shell, `${tree}/`, `${user}@127.0.0.1:${home}/tree/`]),
      ),
    async [Symbol.asyncDispose]() {
      await sshd[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** The fixture `express` with its lock file; with `build`, a script that copies the server, and a development dependency. */
async function makeBuiltTree(directory: string, { build }: { build: boolean }): Promise<void> {
  await cp(fixture("express"), directory, { recursive: true });
  await writeFile(join(directory, ".gitignore"), "node_modules\n");
  const npm = async (...words: string[]) => void (await run("npm", words, { cwd: directory }));
  if (build) {
    await writeFile(
      join(directory, "compile.js"),
      "import { cpSync } from 'node:fs'; cpSync('version.js', 'dist/version.js');\n",
    );
    await npm("pkg", "set", "scripts.build=node compile.js", "devDependencies.ms=2.1.3");
    await npm("install", "--package-lock-only", "--ignore-scripts");
  }
  await npm("ci", "--omit=dev"); // For the app's own start.
}

/** `git push` of one changed line, again and again; the first, which installs, is told apart. */
async function measureBuilt(world: SshWorld, alice: Developer, app: string, build: boolean): Promise<Built> {
  const tree = await mkdtemp(join(tmpdir(), "maestro-bench-"));
  try {
    await makeBuiltTree(tree, { build });
    const start: number[] = [];
    for (let round = 0; round < rounds; round++) start.push(await bareStart(tree));
    const [first = 0, ...pushes] = await measurePush(world, alice, tree, app);
    return { start, first, pushes };
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

type Built = { start: number[]; first: number; pushes: number[] };

type Times = Record<
  "start" | "first" | "unchanged" | "changed" | "push" | "floorFirst" | "floor" | "floorChanged",
  number[]
>;

async function measure(world: SshWorld, alice: Developer, tree: string): Promise<Times> {
  const times: Times = {
    start: [],
    first: [],
    unchanged: [],
    changed: [],
    push: [],
    floorFirst: [],
    floor: [],
    floorChanged: [],
  };
  const deploy = async () => {
    const since = world.maestro.logLength;
    const tookMs = await timed(() => world.deploy(alice, tree, "--app", "large"));
    await world.maestro.until("app.settled", (entry) => entry["app"] === "large", since);
    return tookMs;
  };
  await using plain = await plainRsync();
  times.first.push(await deploy());
  times.floorFirst.push(await plain.send(tree));
  for (let round = 0; round < rounds; round++) {
    times.start.push(await bareStart(tree));
    times.unchanged.push(await deploy());
    times.floor.push(await plain.send(tree));
    await change(tree, round);
    times.changed.push(await deploy());
    times.floorChanged.push(await plain.send(tree));
  }
  times.push = (await measurePush(world, alice, tree, "large")).slice(1);
  return times;
}

async function measurePush(world: SshWorld, alice: Developer, tree: string, app: string): Promise<number[]> {
  const git = (...words: string[]) => world.git(alice, tree, ...words);
  await git("init", "--quiet", "--initial-branch", "main");
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    await change(tree, 1000 + round);
    await git("add", "--all");
    await git("commit", "--quiet", "--message", "a change");
    const since = world.maestro.logLength;
    times.push(await timed(() => git("push", world.repository(app), "main")));
    await world.maestro.until("app.settled", (entry) => entry["app"] === app, since);
  }
  return times;
}

const world = await SshWorld.start("--request-drain", "1", "--stream-drain", "0");
const tree = await mkdtemp(join(tmpdir(), "maestro-bench-"));
try {
  const alice = await world.developer("alice", "large", "installed", "built");
  await makeTree(tree, files);
  const times = await measure(world, alice, tree);
  const installed = await measureBuilt(world, alice, "installed", false);
  const built = await measureBuilt(world, alice, "built", true);
  const start = median(times.start);
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  const row = (name: string, values: readonly number[], own: number) => [
    name,
    ms(median(values)),
    ms(quantile(values, 0.9)),
    own === 0 ? "" : ms(median(values) - own),
  ];
  const rowsOf = (what: string, { start: own, first, pushes }: Built) => [
    row(`the start of an app with ${what}`, own, 0),
    row(`  git push of it, first: installs`, [first], median(own)),
    row(`  git push of it, one line changed`, pushes, median(own)),
  ];
  console.log(
    `deploy of ${files} files, ${(files * fileBytes) / 1e6} MB, ${rounds} rounds, medians\n${machine()}\n`,
  );
  const rows = [
    row("the app's own start", times.start, 0),
    row("maestro deploy, first", times.first, start),
    row("  plain rsync over ssh, first", times.floorFirst, 0),
    row("maestro deploy, unchanged", times.unchanged, start),
    row("  plain rsync over ssh, unchanged", times.floor, 0),
    row("maestro deploy, one line changed", times.changed, start),
    row("  plain rsync over ssh, one line changed", times.floorChanged, 0),
    row("git push, one line changed", times.push, start),
    ...rowsOf("dependencies", installed),
    ...rowsOf("dependencies and build script", built),
  ];
  console.log(table(["", "takes", "p90", "over the start"], rows));
} finally {
  await world[Symbol.asyncDispose]();
  await rm(tree, { recursive: true, force: true });
}
