import { randomUUID } from "node:crypto";
import type { OneOffProgram } from "../app/one-off.ts";
import { aborted } from "../lib/aborted.ts";
import { Window } from "./window.ts";

/** How a program is ended that does not end by itself. */
export type EndOptions = {
  /** As its caller is told. */
  reason: string;
  /** How long it may take, ms. */
  graceMs: number;
  /** Ends the grace early. */
  hurry?: AbortSignal;
};

/** Bytes of output that are under way to a caller who has not said that it took them. */
export const windowBytes = 128 * 1024;

/** A one-off program that the controller looks after: of one caller, and gone with it. */
export class OneOff {
  /** What its caller names it by; nobody can guess it. */
  readonly run = randomUUID();
  /** "run.1" */
  readonly instance: string;
  readonly key: string;
  readonly release: number;
  readonly startedAt = new Date().toISOString();
  /** Of its caller: see `Call`. */
  readonly session: object;
  readonly window = new Window(windowBytes);
  readonly #hasTerminal: boolean;
  readonly #settled = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<OneOffProgram | null>();
  #program: OneOffProgram | null = null;
  #reason: string | null = null;
  /** Bytes of input that the program has not taken yet. */
  inputBytes = 0;

  constructor(facts: Pick<OneOff, "instance" | "key" | "release" | "session"> & { hasTerminal: boolean }) {
    this.instance = facts.instance;
    this.key = facts.key;
    this.release = facts.release;
    this.session = facts.session;
    this.#hasTerminal = facts.hasTerminal;
  }

  get state(): "starting" | "running" | "stopping" {
    if (this.#reason !== null) return "stopping";
    return this.#program === null ? "starting" : "running";
  }

  /** Null before it has started. */
  get program(): OneOffProgram | null {
    return this.#program;
  }

  /** Why it is being ended, or was; null while nobody wants that. */
  get reason(): string | null {
    return this.#reason;
  }

  /** From here on there is a process; null: it could not be started. */
  began(program: OneOffProgram | null): void {
    this.#program = program;
    this.#started.resolve(program);
  }

  /** From here on its caller has been told everything. */
  settle(): void {
    this.#settled.resolve();
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /**
   * Ends it: told by SIGHUP that its terminal is gone, or by SIGTERM as an instance is; then, when the grace is over, it
   * and all that it has started are killed. Resolves when nothing is left.
   */
  async end({ reason, graceMs, hurry }: EndOptions): Promise<void> {
    this.#reason ??= reason;
    const program = await this.#started.promise;
    if (program === null) return;
    program.signal(this.#hasTerminal ? "SIGHUP" : "SIGTERM");
    program.signal("SIGCONT"); // One that was stopped by Ctrl-Z could not hear it.
    const over = AbortSignal.any([AbortSignal.timeout(graceMs), ...(hurry ? [hurry] : [])]);
    await Promise.race([program.exited, aborted(over)]);
    await program.kill();
  }
}
