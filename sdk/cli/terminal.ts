import { text } from "node:stream/consumers";
import { processConsole } from "./console.ts";

/** Where a command's output goes. */
export type Output = { readonly isTTY: boolean; readonly columns: number; write(text: string): void };

/** The bytes of this process's streams, and the terminal that they may be: what a program elsewhere is connected to. */
export type Console = {
  /** Whether people sit at both ends: what they type, and what they see. */
  readonly isTerminal: boolean;
  readonly size: { columns: number; rows: number };
  /** What is typed or piped, until its end or the signal. */
  input(until: AbortSignal): AsyncIterable<Uint8Array>;
  /** Resolves when the reader has taken it. */
  write(stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void>;
  /** Keys come as they are typed, Ctrl-C too, until the returned function is called. */
  raw(): () => void;
  onResize(listener: () => void): () => void;
  /** Instead of ending this process, until the returned function is called. */
  onSignal(listener: (signal: ConsoleSignal) => void): () => void;
};

export type ConsoleSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGQUIT";

/** What a command sees of the world around it. The real one is made by `processTerminal`; tests bring their own. */
export type Terminal = {
  readonly console: Console;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  /** All of standard input, to its end. */
  readInput(): Promise<string>;
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back at Ctrl-C, once, until the returned function is called. A second Ctrl-C ends the program. */
  onInterrupt(listener: () => void): () => void;
};

/** The terminal of this process. A reader that goes away (`| head`) ends the program quietly. */
export function processTerminal(): Terminal {
  process.stdout.on("error", endQuietly);
  process.stderr.on("error", endQuietly);
  return {
    console: processConsole(),
    env: process.env,
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    readInput: () => text(process.stdin),
    now: Date.now,
    onInterrupt(listener) {
      process.once("SIGINT", listener);
      return () => process.off("SIGINT", listener);
    },
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns || 80; // 0 where nobody has told the terminal its size
    },
    write: (text) => void stream.write(text),
  };
}

function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}
