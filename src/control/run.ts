import type { Readable } from "node:stream";
import type { App } from "../app/app.ts";
import type { CallersTerminal } from "../app/one-off.ts";
import type { RunOutput, RunReport, RunStarted } from "../app/run-reports.ts";
import { MaestroError } from "../errors.ts";
import type { Controller } from "./controller.ts";
import { environmentOf } from "./environment.ts";
import { type EndOptions, OneOff } from "./one-off.ts";
import { placeOf } from "./start.ts";

export type RunRequest = {
  app: string;
  command: readonly string[];
  /** Null: pipes. */
  terminal: CallersTerminal | null;
  /** Who asks. */
  by: string;
};

/** Who has asked for a program. It ends when `signal` is aborted. */
export type Runner = {
  session: object;
  signal: AbortSignal;
  onStarted(started: RunStarted): void;
  onOutput(output: RunOutput): void;
};

/** Of one app at a time; each holds a process or two of Maestro's own. */
const mostRuns = 32;
/** How long a program may take to end whose caller is gone, or whose controller leaves, ms. */
const leftAloneMs = 5000;
/** Small enough that a line of the door holds it in base64, and that terminals feel prompt. */
const pieceBytes = 32 * 1024;

/**
 * Runs a program in the place of an instance of the current release, for one caller, and resolves with how it ended when
 * all of its output has been handed on. Throws `APP_NOT_FOUND`, `NOTHING_TO_RUN`, `BUSY`, `BAD_INPUT`.
 */
export async function run(controller: Controller, request: RunRequest, caller: Runner): Promise<RunReport> {
  controller.refuseWhenClosing();
  const app = controller.registry.get(request.app);
  const { runs } = controller.runtime(app.name);
  // From here on a stop of the app ends it too, and a sweep keeps its release.
  const oneOff = admit(controller, app, request, caller);
  const leave = () => {
    oneOff.window.open(); // A program that says its last words is not held back by a reader who is gone.
    void oneOff.end({ reason: "its caller is gone", graceMs: leftAloneMs });
  };
  runs.add(oneOff);
  caller.signal.addEventListener("abort", leave);
  try {
    const program = await start(controller, app, request, oneOff);
    if (caller.signal.aborted) leave();
    else
      caller.onStarted({
        run: oneOff.run,
        instance: oneOff.instance,
        release: oneOff.release,
        pid: program.pid,
      });
    const { stdout, stderr } = program;
    const handed = Promise.all([
      handOn(oneOff, stdout, "stdout", caller),
      handOn(oneOff, stderr, "stderr", caller),
    ]);
    const { code, signal } = await program.exited;
    runs.delete(oneOff);
    noteEnd(controller, app, oneOff, { code, signal });
    oneOff.window.open(); // What may still come is no more than the pipes hold.
    await handed;
    return { exitCode: code, signal, ...(oneOff.reason === null ? {} : { reason: oneOff.reason }) };
  } finally {
    runs.delete(oneOff);
    oneOff.settle();
    caller.signal.removeEventListener("abort", leave);
  }
}

function admit(controller: Controller, app: App, { terminal }: RunRequest, { session }: Runner): OneOff {
  const { name, release } = app;
  if (release === null) {
    throw new MaestroError("NOTHING_TO_RUN", `${name} has no release yet; deploy it first`, { app: name });
  }
  const { runs } = controller.runtime(name);
  if (runs.size >= mostRuns) {
    const message = `${runs.size} programs are running in ${name}; end one of them, \`maestro ps ${name}\` lists them`;
    throw new MaestroError("BUSY", message, { app: name, runs: runs.size });
  }
  const instance = freeId(controller, name);
  const key = `${name}.${instance}.v${release}.${controller.stamps.next()}`;
  return new OneOff({ instance, key, release, session, hasTerminal: terminal !== null });
}

/** The lowest that is free; a process type may be called `run` too. */
function freeId(controller: Controller, app: string): string {
  const { runs, living } = controller.runtime(app);
  const taken = new Set([...[...runs].map(({ instance }) => instance), ...[...living].map(({ id }) => id)]);
  let number = 1;
  while (taken.has(`run.${number}`)) number += 1;
  return `run.${number}`;
}

async function start(
  controller: Controller,
  app: App,
  { command, terminal, by }: RunRequest,
  oneOff: OneOff,
) {
  const { instance: id, release: number, key } = oneOff;
  try {
    const release = await controller.releases.get(app.name, number);
    const env = await environmentOf(controller, release);
    const place = { ...placeOf(controller, { app, release, id }, key), env };
    const program = await controller.runner.startProgram({ ...place, command, terminal });
    oneOff.began(program);
    // Of its words only the first: arguments may be secrets.
    const facts = { app: app.name, instance: id, release: number, pid: program.pid, program: command[0], by };
    controller.log.info(facts, "run.started");
    return program;
  } catch (error) {
    oneOff.began(null);
    throw error;
  }
}

async function handOn(
  { window }: OneOff,
  from: Readable,
  stream: RunOutput["stream"],
  { signal, onOutput }: Runner,
): Promise<void> {
  try {
    for await (const chunk of from) {
      for (const piece of piecesOf(chunk)) {
        await window.take(piece.length);
        if (!signal.aborted) onOutput({ stream, bytes: piece.toString("base64") });
      }
    }
  } catch {
    // The pipe broke with the shim at its other end; that it has ended is told elsewhere.
  }
}

function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; from += pieceBytes) yield bytes.subarray(from, from + pieceBytes);
}

function noteEnd(controller: Controller, { name: app }: App, oneOff: OneOff, exit: object): void {
  const { instance, release, reason } = oneOff;
  controller.log.info(
    { app, instance, release, ...exit, ...(reason === null ? {} : { reason }) },
    "run.ended",
  );
}

/** Ends the one-off programs of an app. Resolves when nothing of them is left, and their callers know how they ended. */
export async function endRuns(controller: Controller, app: string, how: EndOptions): Promise<void> {
  const ended = [...controller.runtime(app).runs].map(async (oneOff) => {
    await oneOff.end(how);
    await oneOff.settled;
  });
  await Promise.all(ended);
}

/** They end with their controller in any case: here they are told before. */
export async function endAllRuns(controller: Controller, reason: string): Promise<void> {
  const how = { reason, graceMs: leftAloneMs };
  await Promise.all(controller.names().map((name) => endRuns(controller, name, how)));
}
