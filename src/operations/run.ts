import { z } from "zod";
import { AppName } from "../app/app.ts";
import { CallersSignal, CallersTerminal, TerminalSize } from "../app/one-off.ts";
import { describePrincipal } from "../app/principal.ts";
import { RunReport } from "../app/run-reports.ts";
import { run } from "../control/run.ts";
import { findRun, giveInput } from "../control/run-calls.ts";

import { operation } from "./operation.ts";

/** execve(2) takes no string above 128 KB. */
const mostCommandBytes = 100_000;
const mostInputBytes = 128 * 1024;

const Word = z.string().refine((word) => !word.includes("\0"), "a word of a command holds no NUL character");
const Command = z
  .tuple([Word.min(1, "the program has a name")], Word)
  .refine(
    (words) => Buffer.byteLength(words.join(" ")) <= mostCommandBytes,
    `a command has at most ${mostCommandBytes} bytes`,
  );

export const runOperation = operation({
  name: "run",
  summary:
    "Runs a one-off program with an app's files, user and environment, for as long as the caller is there",
  access: "app",
  input: z.object({ app: AppName, command: Command, terminal: CallersTerminal.optional() }),
  output: RunReport,
  handle: ({ controller }, { app, command, terminal = null }, { principal, session, signal, ...told }) => {
    const { onStarted = () => {}, onOutput = () => {} } = told;
    const request = { app, command, terminal, by: describePrincipal(principal) };
    return run(controller, request, { session, signal, onStarted, onOutput });
  },
});

/** A program that was started in this session, by what `onStarted` was told. */
const Running = z.object({ app: AppName, run: z.string().max(64) });

export const runInputOperation = operation({
  name: "run_input",
  summary: "Gives input to a one-off program; answers when it has been taken",
  access: "app",
  input: Running.extend({
    bytes: z
      .base64()
      .max(Math.ceil(mostInputBytes / 3) * 4)
      .default(""),
    end: z.boolean().default(false),
  }),
  output: z.object({ open: z.boolean() }),
  handle: async ({ controller }, { bytes, end, ...running }, { session }) => ({
    open: await giveInput(findRun(controller, running, session), Buffer.from(bytes, "base64"), end),
  }),
});

export const runTakenOperation = operation({
  name: "run_taken",
  summary: "Says how many bytes of a one-off program's output were taken, so that more is sent",
  access: "app",
  input: Running.extend({ bytes: z.int().min(0) }),
  output: z.object({}),
  handle: async ({ controller }, { bytes, ...running }, { session }) => {
    findRun(controller, running, session).window.give(bytes);
    return {};
  },
});

export const runResizeOperation = operation({
  name: "run_resize",
  summary: "Tells a one-off program that its terminal has another size",
  access: "app",
  input: Running.extend(TerminalSize.shape),
  output: z.object({}),
  handle: async ({ controller }, { columns, rows, ...running }, { session }) => {
    findRun(controller, running, session).program?.resize({ columns, rows });
    return {};
  },
});

export const runSignalOperation = operation({
  name: "run_signal",
  summary: "Sends a signal to a one-off program",
  access: "app",
  input: Running.extend({ signal: CallersSignal }),
  output: z.object({}),
  handle: async ({ controller }, { signal, ...running }, { session }) => {
    findRun(controller, running, session).program?.signal(signal);
    return {};
  },
});
