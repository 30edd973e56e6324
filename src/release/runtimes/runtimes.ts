import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmod, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import semver from "semver";
import { isSystemError, MaestroError } from "../../errors.ts";
import { namesIn } from "../../lib/directory.ts";
import { PackageRegistry, type RegistrySettings } from "./registry.ts";
import { nodePackage, packageOf, type Tool, writePrograms } from "./tools.ts";

/** A runtime that is there: "npm-11.6.0" and where. */
export type Runtime = { name: string; version: string; directory: string };

const ownVersion = process.versions.node;
const isPartial = (name: string) => name.startsWith(".partial-");
const isRuntime = (name: string) => /^(node-v|npm-|pnpm-|yarn-)\d/.test(name);

/**
 * The Nodes and package managers under runtimes/, which all apps share: each fetched from the npm registry when it is
 * first asked for, and there as a whole or not at all. What is there already is asked before the network is.
 */
export class Runtimes {
  readonly #directory: string;
  readonly #registry = new PackageRegistry();
  readonly #fetching = new Map<string, Promise<void>>();
  /** Releases that are being made, of which no record says yet what they need. */
  #unrecorded = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  settings(): Promise<RegistrySettings> {
    return this.#registry.settings();
  }

  nodeOf(version: string): string {
    return join(this.#directory, `node-v${version}`, "bin", "node");
  }

  /** A Node of a range of versions; Maestro's own where that will do. Throws `BAD_INPUT`, `BUILD_FAILED`. */
  async node(range: string, say: (what: string) => void): Promise<Runtime> {
    if (semver.validRange(range) === null) throw noRange(range);
    const known = [ownVersion, ...(await this.#installed("node-v"))];
    const found = semver.satisfies(ownVersion, range) ? ownVersion : semver.maxSatisfying(known, range);
    const version =
      found ?? semver.maxSatisfying([...(await this.#registry.versions(nodePackage)).keys()], range);
    if (version === null) throw noNode(range);
    const name = `node-v${version}`;
    // Its own is put there before anything is started.
    if (version === ownVersion) return { name, version, directory: join(this.#directory, name) };
    await this.#ensure(name, say, async (fresh) => {
      await this.#registry.extract(nodePackage, version, fresh);
      for (const entry of await readdir(fresh)) {
        if (entry !== "bin" && entry !== "LICENSE") await rm(join(fresh, entry), { recursive: true });
      }
    });
    return { name, version, directory: join(this.#directory, name) };
  }

  /** A package manager of a range of versions, which has to run on a version of Node. */
  async tool(kind: Tool, range: string, node: string, say: (what: string) => void): Promise<Runtime> {
    const pkg = packageOf(kind, range);
    const there = await this.#installed(`${kind}-`);
    const version = semver.maxSatisfying(there, range) ?? (await this.#newest(pkg, range, node));
    if (version === null) throw noTool(kind, range, node);
    const name = `${kind}-${version}`;
    await this.#ensure(name, say, async (fresh) => {
      await this.#registry.extract(pkg, version, join(fresh, "package"));
      await writePrograms(fresh);
    });
    return { name, version, directory: join(this.#directory, name) };
  }

  /** Nothing is removed until it is disposed of. */
  hold(): Disposable {
    this.#unrecorded += 1;
    return {
      [Symbol.dispose]: () => {
        this.#unrecorded -= 1;
      },
    };
  }

  /** Removes what nothing runs on any more; while something is being made, another time. */
  async sweep(used: ReadonlySet<string>): Promise<void> {
    if (this.#unrecorded > 0) return;
    for (const name of (await namesIn(this.#directory)).filter(isRuntime)) {
      const isUsed = used.has(name) || name === `node-v${ownVersion}`;
      if (!isUsed) await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }

  /** Removes what was fetched by half. For a start. */
  async sweepPartials(): Promise<void> {
    for (const name of (await namesIn(this.#directory)).filter(isPartial))
      await rm(join(this.#directory, name), { recursive: true, force: true });
  }

  async #newest(pkg: string, range: string, node: string): Promise<string | null> {
    const versions = await this.#registry.versions(pkg);
    const fitting = [...versions].filter(([, { node: wanted }]) => semver.satisfies(node, wanted));
    return semver.maxSatisfying(
      fitting.map(([version]) => version),
      range,
    );
  }

  async #installed(prefix: string): Promise<string[]> {
    const names = (await namesIn(this.#directory)).filter((name) => name.startsWith(prefix));
    return names.map((name) => name.slice(prefix.length)).filter((version) => semver.valid(version) !== null);
  }

  async #ensure(
    name: string,
    say: (what: string) => void,
    fill: (fresh: string) => Promise<void>,
  ): Promise<void> {
    if (await isThere(join(this.#directory, name))) return;
    say(`Fetching ${name}`);
    const fetching = this.#fetching.get(name) ?? this.#fetch(name, fill);
    this.#fetching.set(name, fetching);
    try {
      await fetching;
    } finally {
      this.#fetching.delete(name);
    }
  }

  /** Beside its place, then named: it is on the disk before it has its name. */
  async #fetch(name: string, fill: (fresh: string) => Promise<void>): Promise<void> {
    const fresh = join(this.#directory, `.partial-${randomUUID()}`);
    try {
      await mkdir(fresh, { recursive: true });
      await fill(fresh);
      await openToAll(fresh);
      await promisify(execFile)("sync", ["-f", fresh]);
      await rename(fresh, join(this.#directory, name));
    } catch (error) {
      if (!isSystemError(error, "ENOTEMPTY", "EEXIST")) throw error; // Somebody else was quicker.
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
}

/** Every app's user reads it, whatever our umask is; nobody else writes it. */
async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const noRange = (range: string) =>
  new MaestroError(
    "BAD_INPUT",
    `package.json's engines.node ${JSON.stringify(range)} is not a range of versions; write for example "22.x"`,
    { range },
  );

const noNode = (range: string) =>
  new MaestroError(
    "BUILD_FAILED",
    `there is no Node for ${process.arch} that package.json's engines.node ${JSON.stringify(range)} allows; widen it`,
    { range, arch: process.arch },
  );

const noTool = (kind: Tool, range: string, node: string) =>
  new MaestroError(
    "BUILD_FAILED",
    `there is no ${kind} ${range} that runs on Node ${node}; change packageManager or engines.node in package.json`,
    { tool: kind, range, node },
  );
