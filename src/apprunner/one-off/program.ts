import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import type { Exit } from "../../app/instance.ts";
import type { CallersSignal, OneOffProgram, TerminalSize } from "../../app/one-off.ts";
import { type ProcessIdentity, readProcess } from "../../lib/processes.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { exitOf, unseen, wantOfMemory } from "../end.ts";
import { signalGroup, signalProcess } from "../kill.ts";
import { stop } from "../stop.ts";
import { targetOf } from "./target.ts";

type Pipes = {
  child: ChildProcess;
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  control: Socket;
  cgroup: Cgroup | null;
  lines: AsyncIterator<string, undefined>;
};

/** How long the shim may take to end everything, ms: what SIGKILL does not end hangs in the kernel. */
const killLimitMs = 5000;

/** A program behind its shim, from `startProgram`. */
export class Program implements OneOffProgram {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<Exit>;
  readonly #pipes: Pipes;
  /** The head of the chain that leads to the program. */
  readonly #head: ProcessIdentity;
  #hasExited = false;

  /** Use `startProgram`. */
  constructor(pipes: Pipes, pid: number) {
    this.pid = pid;
    this.stdout = pipes.stdout;
    this.stderr = pipes.stderr;
    this.#pipes = pipes;
    this.#head = { pid, startTime: readProcess(pid)?.startTime ?? "" };
    this.exited = this.#end();
  }

  memory(): { now: number | null; limit: number | null } {
    const { cgroup } = this.#pipes;
    return { now: cgroup?.usage().memory?.now ?? null, limit: cgroup?.memoryLimit() ?? null };
  }

  async write(bytes: Uint8Array): Promise<boolean> {
    const { stdin } = this.#pipes;
    if (!stdin.writable) return false;
    return new Promise((resolve) => stdin.write(bytes, (error) => resolve(!error)));
  }

  endInput(): void {
    this.#pipes.stdin.end();
  }

  resize({ columns, rows }: TerminalSize): void {
    this.#tell(`resize ${columns} ${rows}`);
  }

  signal(signal: CallersSignal | "SIGCONT"): void {
    if (this.#hasExited) return;
    const target = targetOf(this.#head);
    signalGroup(target, signal);
    // Before it has a group of its own, its group is nobody it leads.
    if (readProcess(target.pid)?.group !== target.pid) signalProcess(target, signal);
  }

  async kill(): Promise<void> {
    this.#tell("kill");
    const limit = new AbortController();
    const late = pause(killLimitMs, undefined, { signal: limit.signal }).catch(() => {});
    await Promise.race([this.exited, late]);
    limit.abort();
    if (!this.#hasExited) this.#pipes.child.kill("SIGKILL");
  }

  #tell(line: string): void {
    if (this.#pipes.control.writable) this.#pipes.control.write(`${line}\n`);
  }

  async #end(): Promise<Exit> {
    const exit = await this.#told();
    this.#hasExited = true;
    this.#pipes.stdin.destroy();
    if (exit !== null) return { ...exit, ...wantOfMemory(this.#pipes.cgroup, exit) };
    // Somebody has killed the shim: what it would have ended is still there.
    await stop({ key: "", ...this.#head, exited: Promise.resolve(unseen) }, { graceMs: 0 });
    return unseen;
  }

  /** Null when the shim went away without a word. */
  async #told(): Promise<Exit | null> {
    const { value: line } = await this.#pipes.lines.next();
    const match = /^exit (\d{1,3}) (\d{1,3})$/.exec(line ?? "");
    if (match === null) return null;
    const signal = Number(match[2]);
    return exitOf(signal === 0 ? Number(match[1]) : 128 + signal);
  }
}
