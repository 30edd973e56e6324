import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { namesIn } from "../../src/lib/directory.ts";
import { follow } from "../../src/logs/follow.ts";
import type { Bounds } from "../../src/logs/kept-log.ts";
import { blockBytes, partsOf } from "../../src/logs/parts.ts";
import type { KeeperSettings } from "../../src/protocol/log-keeper.ts";
import { repository } from "./maestro.ts";

/** A home with the logs of one app, and keepers for it. All of it ends, and is gone, when it is disposed of. */
export class LogHome implements AsyncDisposable {
  readonly home: string;
  readonly directory: string;
  readonly #children = new Set<ChildProcess>();

  private constructor(home: string) {
    this.home = home;
    this.directory = join(home, "apps", "shop", "logs");
  }

  static async create(): Promise<LogHome> {
    const home = new LogHome(await mkdtemp(join(tmpdir(), "logs-test-")));
    await mkdir(home.directory, { recursive: true });
    return home;
  }

  log(name = "web.1.v1.mabcdefg.out.log"): string {
    return join(this.directory, name);
  }

  settings(bounds: Bounds): KeeperSettings {
    const run = join(this.home, "run");
    return {
      apps: join(this.home, "apps"),
      control: join(run, "keeper.sock"),
      lock: join(run, "keeper.lock"),
      ...bounds,
    };
  }

  /** Starts a keeper; resolves when it answers, or has ended. */
  async keeper(bounds: Bounds): Promise<ChildProcess> {
    const entry = join(repository, "src/logs/keeper.ts");
    const keeper = spawn(process.execPath, [entry, "--tell", JSON.stringify(this.settings(bounds))], {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    });
    this.#children.add(keeper);
    await once((keeper.stdio[3] as Socket).resume(), "close");
    return keeper;
  }

  /** A program that appends numbered lines to a log, `rate` a ms. */
  writer(path: string, count: number, rate: number): ChildProcess {
    const program = join(repository, "test/fixtures/logs/writer.ts");
    const writer = spawn(process.execPath, [program, path, String(count), String(rate)], {
      stdio: "inherit",
    });
    this.#children.add(writer);
    return writer;
  }

  /** Resolves when something is so, which is asked again when something changed in the directory of the logs. */
  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    let changed = Promise.withResolvers<void>();
    const watcher = watch(this.directory, () => changed.resolve());
    try {
      while (!(await isSo())) {
        await changed.promise;
        changed = Promise.withResolvers();
      }
    } finally {
      watcher.close();
    }
  }

  /** Resolves when a keeper has cut all there is to cut off a log, and noted the time of the rest. */
  async untilKept(log: string, { partBytes, parts }: Bounds): Promise<void> {
    await this.until(async () => {
      const { size, blocks } = await stat(log);
      const cut = await partsOf(log);
      const live = size - (cut.at(-1)?.end ?? 0);
      const names = await namesIn(this.directory);
      const noted = Number((await textOf(`${log}.times`)).trimEnd().split("\n").at(-1)?.split(" ")[0]);
      const isCut = live < partBytes && cut.length < parts && blocks * 512 <= live + 2 * blockBytes;
      return isCut && noted === size && !names.some((name) => name.endsWith(".tmp"));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await end(child, "SIGKILL");
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

export const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

/** Collects the lines of a log from an offset on until the signal; `until(n)` resolves when n have come. */
export function collect(log: string, from = 0) {
  const stop = new AbortController();
  const lines: string[] = [];
  let changed = Promise.withResolvers<void>();
  const ended = follow(dirname(log), {
    from: (name) => (name === basename(log) ? from : null),
    signal: stop.signal,
    onLine(_, { text }) {
      lines.push(text);
      changed.resolve();
    },
  });
  return {
    lines,
    async until(count: number): Promise<string[]> {
      while (lines.length < count) {
        await changed.promise;
        changed = Promise.withResolvers();
      }
      return lines;
    },
    async end(): Promise<string[]> {
      stop.abort();
      await ended;
      return lines;
    },
  };
}

/** The numbers that a writer's lines begin with. */
export const numbersOf = (lines: readonly string[]): number[] =>
  lines.map((line) => Number.parseInt(line, 10));
