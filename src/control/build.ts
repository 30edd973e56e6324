import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { stripVTControlCharacters } from "node:util";
import type { App } from "../app/app.ts";
import type { Builder, BuildProgram } from "../app/build.ts";
import { describeExit, type Exit } from "../app/instance.ts";
import { changeLimits, formatBytes, type Limits, type LimitsChange } from "../app/limits.ts";
import type { OneOffProgram } from "../app/one-off.ts";
import { MaestroError } from "../errors.ts";
import { aborted } from "../lib/aborted.ts";
import type { Controller } from "./controller.ts";
import { environmentOf } from "./environment.ts";
import type { Steps } from "./steps.ts";
import { runDirectoryOf } from "./track.ts";

/** More lines than this are not told to whoever waits; all of them are in the log. */
const mostLines = 2000;
const lastCount = 20;
/** Of a line: what has no end is no line. */
const mostCharacters = 4000;

/** The programs of one build, one after the other, with their output, their limits and the time that they have. */
export class Build implements Builder {
  readonly user: Builder["user"];
  readonly signal: AbortSignal;
  readonly #controller: Controller;
  readonly #app: App;
  readonly #steps: Steps;
  readonly #stamp: string;
  #deadline: AbortSignal | null = null;
  #log: WriteStream | null = null;
  #told = 0;
  #hasBegun = false;

  constructor(controller: Controller, app: App, steps: Steps) {
    this.#controller = controller;
    this.#app = app;
    this.#steps = steps;
    this.#stamp = controller.stamps.next();
    this.user = controller.runner.effectiveUser(app.user);
    this.signal = AbortSignal.any([steps.signal, controller.ending]);
  }

  readonly say = (title: string): void => {
    this.#hasBegun = true;
    this.#steps.began("build", title);
    this.#log?.write(`-----> ${title}\n`);
  };

  async run(program: BuildProgram): Promise<void> {
    this.signal.throwIfAborted();
    this.#deadline ??= AbortSignal.timeout(this.#controller.config.buildTimeout * 1000);
    this.#log ??= await this.#openLog(program.release);
    this.say(program.title);
    const limits = this.#limitsOf(program.limits);
    const running = await this.#start(program, limits);
    const lastLines: string[] = [];
    const told = Promise.all(
      [running.stdout, running.stderr].map((output) => this.#tell(output, lastLines, program.onLine)),
    );
    running.endInput();
    const exit = await this.#untilEnded(running);
    await told;
    this.signal.throwIfAborted();
    if (exit?.code !== 0) throw this.#failure(program, exit, limits, lastLines);
  }

  /** What was built is there. Of a build that had nothing to do nobody is told. */
  done(): void {
    if (this.#hasBegun) this.#steps.done("build");
  }

  /** Resolves when what it has said is in its log. */
  async close(): Promise<void> {
    if (this.#log === null) return;
    this.#log.end();
    await finished(this.#log).catch(() => {}); // The build counts, not what was written down of it.
    await this.#controller.logs.sweep(
      this.#app.name,
      [...this.#controller.runtime(this.#app.name).living].map(({ output }) => output),
    );
  }

  async #start(program: BuildProgram, limits: Limits): Promise<OneOffProgram> {
    const controller = this.#controller;
    const { name, config } = this.#app;
    const { release, directory, node, command, scratch, tools } = program;
    const found = await environmentOf(controller, { app: name, config, plan: { env: program.defaults } });
    const key = `${name}.build.1.v${release}.${controller.stamps.next()}`;
    return controller.runner.startProgram({
      ...{ app: name, key, id: "build.1", release, directory, command, limits },
      ...(node === undefined ? {} : { node }),
      env: { ...found, ...program.env },
      user: this.user,
      storage: null,
      runDirectory: runDirectoryOf(controller, key),
      terminal: null,
      workshop: { scratch, tools },
    });
  }

  /** The operator's word goes above what the app asks for. */
  #limitsOf(asked: LimitsChange): Limits {
    const { buildMemory: memory, buildCpu: cpu } = this.#controller.config;
    return changeLimits(changeLimits(unlessSaid(), asked), { memory, cpu });
  }

  /** Null when its time is over. Nothing of it is left in either case. */
  async #untilEnded(running: OneOffProgram): Promise<Exit | null> {
    const signal = AbortSignal.any([this.signal, ...(this.#deadline ? [this.#deadline] : [])]);
    const exit = await Promise.race([running.exited, aborted(signal)]);
    if (exit === undefined) await running.kill();
    return exit ?? null;
  }

  async #openLog(release: number): Promise<WriteStream> {
    const { logs } = this.#controller;
    const { stdout } = logs.outputOf(this.#app.name, `build.1.v${release}.${this.#stamp}`);
    await mkdir(dirname(stdout), { recursive: true });
    const log = createWriteStream(stdout, { flags: "a", mode: 0o640 });
    log.on("error", (error) => {
      this.#controller.log.warn({ app: this.#app.name, error: error.message }, "build.not-logged");
    });
    return log;
  }

  async #tell(output: Readable, lastLines: string[], onLine: (text: string) => void): Promise<void> {
    const lines = createInterface({ input: output });
    // Also when the pipe breaks, with the shim at its other end.
    output.on("error", () => {}).once("close", () => lines.close());
    for await (const line of lines) {
      // Many a tool paints where nobody has a terminal, because CI is set.
      const text = stripVTControlCharacters(line.slice(0, mostCharacters));
      this.#log?.write(`${text}\n`);
      if (text.trim() === "") continue;
      onLine(text);
      lastLines.push(text);
      if (lastLines.length > lastCount) lastLines.shift();
      this.#told += 1;
      if (this.#told < mostLines) this.#steps.output("build", text);
      if (this.#told === mostLines) this.#steps.output("build", "… (there is more in the log)");
    }
  }

  #failure(
    { title, release }: BuildProgram,
    exit: Exit | null,
    limits: Limits,
    lastLines: string[],
  ): MaestroError {
    const { name } = this.#app;
    const why = this.#why(exit, limits, lastLines);
    return new MaestroError("BUILD_FAILED", `${name} could not be built: "${title}" ${why}`, {
      app: name,
      process: "build",
      release,
      exitCode: exit?.code ?? null,
      signal: exit?.signal ?? null,
      lastLines,
    });
  }

  #why(exit: Exit | null, { memory }: Limits, lastLines: readonly string[]): string {
    const { buildTimeout } = this.#controller.config;
    if (exit === null) return `did not end within ${buildTimeout} s (serve --build-timeout), and was ended`;
    const isFull = exit.memory !== undefined || lastLines.some((line) => line.includes("heap out of memory"));
    if (!isFull) return describeExit(exit);
    const limit = memory === null ? "" : ` (a build may have ${formatBytes(memory)})`;
    return `ran out of memory${limit}; raise it with "maestro": { "build": { "memory": … } } in app.json, or for all apps with serve --build-memory`;
  }
}

/** A build is to end before the machine is full; a fork bomb is to end with it. */
const unlessSaid = (): Limits => ({
  memory: Math.floor(Math.min(2 * 1024 ** 3, totalmem() * 0.75)),
  cpu: null,
  pids: 2048,
});
