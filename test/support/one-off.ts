import { randomBytes, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Exit } from "../../src/app/instance.ts";
import { noLimits } from "../../src/app/limits.ts";
import type { OneOffProgram, OneOffSpec } from "../../src/app/one-off.ts";
import { openHost } from "../../src/apprunner/host.ts";
import { startProgram } from "../../src/apprunner/one-off/start.ts";
import { poll } from "../../src/lib/poll.ts";
import { listProcesses, readProcess } from "../../src/lib/processes.ts";

/** At the level `process`: a test then sees the pids that the program sees. */
const host = openHost({ home: join(tmpdir(), `maestro-one-off-${process.pid}`), atMost: "process" });

export async function begin(
  command: readonly string[],
  changes: Partial<OneOffSpec> = {},
): Promise<OneOffProgram> {
  const key = `hello.run.1.v3.${randomBytes(4).toString("hex")}`;
  const spec = {
    app: "hello",
    key,
    id: "run.1",
    release: 3,
    directory: tmpdir(),
    env: {},
    user: null,
    storage: null,
    limits: noLimits,
    runDirectory: join(tmpdir(), `maestro-one-off-${process.pid}`, "run", key),
    terminal: null,
  };
  return startProgram({ ...spec, command, ...changes }, await host);
}

/** Removes what `begin` has written. */
export const forgetPrograms = () =>
  rm(join(tmpdir(), `maestro-one-off-${process.pid}`), { recursive: true, force: true });

export const screen = { columns: 90, rows: 20, term: "xterm" };

/** A program in a terminal of its own: what it shows, and what is typed. */
export class TypedProgram {
  readonly program: OneOffProgram;
  #shown = "";
  readonly #listeners = new Set<() => void>();

  private constructor(program: OneOffProgram) {
    this.program = program;
    program.stdout.setEncoding("utf8").on("data", (part: string) => {
      this.#shown += part;
      for (const listener of this.#listeners) listener();
    });
  }

  static async start(command: readonly string[], changes: Partial<OneOffSpec> = {}): Promise<TypedProgram> {
    return new TypedProgram(await begin(command, { terminal: screen, ...changes }));
  }

  type(keys: string): void {
    void this.program.write(Buffer.from(keys));
  }

  /** Resolves with the first match of what is shown from here on, or since the last one that was found. */
  async shows(pattern: RegExp): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const look = () => {
      const match = pattern.exec(this.#shown);
      if (match === null) return;
      this.#shown = this.#shown.slice(match.index + match[0].length);
      resolve(match[0]);
    };
    const giveUp = () => reject(new Error(`the program ended without ${pattern}: ${this.#shown}`));
    this.#listeners.add(look);
    this.program.stdout.once("end", giveUp);
    look();
    return promise.finally(() => {
      this.#listeners.delete(look);
      this.program.stdout.off("end", giveUp);
    });
  }
}

export type Finished = { exit: Exit; stdout: string; stderr: string };

/** Everything that a program without a terminal did. */
export async function finish(program: OneOffProgram): Promise<Finished> {
  const [exit, stdout, stderr] = await Promise.all([
    program.exited,
    text(program.stdout),
    text(program.stderr),
  ]);
  return { exit, stdout, stderr };
}

/** Resolves when a process is there no more. */
export async function gone(pid: number): Promise<void> {
  const limit = { signal: AbortSignal.timeout(30_000) };
  await poll(() => (readProcess(pid) === null ? true : null), { first: 2, most: 50 }, limit);
}

/** A process that leaves the session and its parent, and would live on: how a shell starts it, and how it is found. */
export class Orphan {
  readonly #seconds = String(randomInt(1_000_000_000, 2_000_000_000));

  get line(): string {
    return `(setsid sleep ${this.#seconds} >/dev/null 2>&1 &)`;
  }

  /** All that has its number among its words, whatever pid it has inside a sandbox: shells in front of it too. */
  pids(): number[] {
    return listProcesses()
      .map(({ pid }) => pid)
      .filter((pid) => wordsOf(pid).some((word) => word === this.#seconds));
  }

  async started(): Promise<void> {
    const limit = { signal: AbortSignal.timeout(30_000) };
    await poll(() => (this.pids().length > 0 ? true : null), { first: 2, most: 50 }, limit);
  }

  async gone(): Promise<void> {
    const limit = { signal: AbortSignal.timeout(30_000) };
    await poll(() => (this.pids().length === 0 ? true : null), { first: 2, most: 50 }, limit);
  }
}

function wordsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // it has just ended
  }
}
