import type { CallersSignal, CallersTerminal, TerminalSize } from "../src/app/one-off.ts";
import type { RunOutput, RunReport, RunStarted } from "../src/app/run-reports.ts";
import { MaestroError, toWire } from "../src/errors.ts";
import type { Operations, Session } from "./operations.ts";

export type RunOptions = {
  client: Session;
  app: string;
  /** The program and its arguments. */
  command: string[];
  /** The terminal that the program gets; without one it gets pipes. */
  terminal?: CallersTerminal;
  /** What the program reads; without it, nothing. Strings are given as UTF-8. */
  input?: AsyncIterable<Uint8Array | string>;
  /** What it writes. More comes only when a promise that is returned has resolved: a slow reader holds the program back. */
  onOutput?(output: { stream: "stdout" | "stderr"; bytes: Uint8Array }): void | Promise<void>;
  /** Called when the program is there. */
  onStarted?(run: Run): void;
  /** Aborting it tells the program by SIGHUP that its caller is gone, and waits no longer. */
  signal?: AbortSignal;
};

/** A program that runs, for its caller. What comes too late for it is nothing. */
export type Run = {
  /** "run.1" */
  readonly instance: string;
  readonly release: number;
  resize(size: TerminalSize): void;
  signal(signal: CallersSignal): void;
  /** How many pieces of input the server has not taken yet. */
  readonly waiting: number;
};

/** A piece of input, bytes. */
const pieceBytes = 32 * 1024;
/** What is under way to the program at a time. */
const most = { pieces: 128, bytes: 128 * 1024 };
/** The server sends 128 KB before it is told that some were taken. */
const tellAfterBytes = 32 * 1024;

/**
 * Runs a one-off program with an app's files, user and environment, and resolves with how it ended when all of its output
 * has been taken. It lives no longer than the session. Rejects with a `MaestroError`: `APP_NOT_FOUND`, `NOTHING_TO_RUN`,
 * or `INTERNAL` when the session is lost.
 */
export async function run(options: RunOptions): Promise<RunReport> {
  const { client, app, command, terminal, signal } = options;
  let fail: (reason: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const programs: RunningProgram[] = [];
  const onStarted = (started: RunStarted) => {
    const program = new RunningProgram(options, started, (reason) => fail(reason));
    programs.push(program);
    options.onStarted?.(program);
    void program.feed();
  };
  const onOutput = (output: RunOutput) => programs[0]?.show(output);
  try {
    const input = { app, command, ...(terminal ? { terminal } : {}) };
    const call = client.call("run", input, { onStarted, onOutput, ...(signal ? { signal } : {}) });
    const report = await Promise.race([call, failure]);
    await programs[0]?.shown;
    return report;
  } catch (error) {
    programs[0]?.signal("SIGHUP");
    throw explained(error, app, programs[0]);
  } finally {
    programs[0]?.end();
  }
}

function explained(error: unknown, app: string, program: Run | undefined): unknown {
  if (program === undefined || toWire(error).details["lost"] !== true) return error;
  const message = `the session with Maestro was lost; ${program.instance} of ${app} is ended with it`;
  const details = { ...toWire(error).details, app, instance: program.instance };
  return new MaestroError("INTERNAL", message, details, { cause: error });
}

class RunningProgram implements Run {
  readonly instance: string;
  readonly release: number;
  readonly #options: RunOptions;
  readonly #names: { app: string; run: string };
  readonly #fail: (reason: unknown) => void;
  /** Resolves when the output that has come is taken. */
  shown: Promise<void> = Promise.resolve();
  waiting = 0;
  #waitingBytes = 0;
  #taken = 0;
  #isOver = false;
  /** Whether the program may still read. */
  #isRead = true;
  #hasRoom: () => void = () => {};

  constructor(options: RunOptions, { run, instance, release }: RunStarted, fail: (reason: unknown) => void) {
    this.#options = options;
    this.#names = { app: options.app, run };
    this.#fail = fail;
    this.instance = instance;
    this.release = release;
  }

  resize({ columns, rows }: TerminalSize): void {
    void this.#call("run_resize", { columns, rows });
  }

  signal(signal: CallersSignal): void {
    void this.#call("run_signal", { signal });
  }

  show({ stream, bytes: text }: RunOutput): void {
    const bytes = Buffer.from(text, "base64");
    this.shown = this.shown.then(async () => {
      await this.#options.onOutput?.({ stream, bytes });
      this.#taken += bytes.length;
      if (this.#taken < tellAfterBytes || this.#isOver) return;
      void this.#call("run_taken", { bytes: this.#taken });
      this.#taken = 0;
    });
    this.shown.catch(this.#fail);
  }

  /** Gives the program its input, as fast as it takes it. */
  async feed(): Promise<void> {
    try {
      for await (const chunk of this.#options.input ?? []) {
        if (!(await this.#give(typeof chunk === "string" ? Buffer.from(chunk) : chunk))) return;
      }
      if (!this.#isOver) await this.#call("run_input", { end: true });
    } catch (error) {
      if (!this.#isOver) this.#fail(error);
    }
  }

  /** Whether more is of use. */
  async #give(bytes: Uint8Array): Promise<boolean> {
    for (let from = 0; from < bytes.length && this.#wantsInput; from += pieceBytes) {
      void this.#send(bytes.subarray(from, from + pieceBytes));
      while (this.waiting >= most.pieces || this.#waitingBytes >= most.bytes) {
        await new Promise<void>((resolve) => {
          this.#hasRoom = resolve;
        });
      }
    }
    return this.#wantsInput;
  }

  get #wantsInput(): boolean {
    return this.#isRead && !this.#isOver;
  }

  async #send(piece: Uint8Array): Promise<void> {
    this.waiting++;
    this.#waitingBytes += piece.length;
    const answer = await this.#call("run_input", { bytes: Buffer.from(piece).toString("base64") });
    this.waiting--;
    this.#waitingBytes -= piece.length;
    if (answer?.open === false) this.#isRead = false;
    this.#hasRoom();
  }

  end(): void {
    this.#isOver = true;
    this.waiting = 0;
    this.#waitingBytes = 0;
    this.#hasRoom();
  }

  /** Null when it came too late: how the program ended is what its `run` tells. */
  async #call<Name extends "run_input" | "run_taken" | "run_resize" | "run_signal">(
    name: Name,
    input: Omit<Operations[Name]["input"], "app" | "run">,
  ): Promise<Operations[Name]["output"] | null> {
    return this.#options.client.call(name, { ...this.#names, ...input }).catch(() => null);
  }
}
