import type { Readable } from "node:stream";
import { z } from "zod";
import type { Exit, LaunchSpec } from "./instance.ts";

/** The size of a terminal in characters; TIOCSWINSZ of ioctl_tty(2) has 16 bits for each. */
export const TerminalSize = z.object({
  columns: z.int().min(1).max(65_535),
  rows: z.int().min(1).max(65_535),
});
export type TerminalSize = z.infer<typeof TerminalSize>;

/** The terminal that a caller has. `term`: its kind, see terminfo(5). */
export const CallersTerminal = TerminalSize.extend({
  term: z.string().regex(/^[A-Za-z0-9][\w.+-]{0,63}$/, "not the name of a terminal, such as xterm-256color"),
});
export type CallersTerminal = z.infer<typeof CallersTerminal>;

/** What a caller may send to the program that it has started. */
export const CallersSignal = z.enum([
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGKILL",
  "SIGUSR1",
  "SIGUSR2",
]);
export type CallersSignal = z.infer<typeof CallersSignal>;

/** All that is needed to start a one-off program in the place of an instance. */
export type OneOffSpec = Omit<LaunchSpec, "start" | "port" | "output"> & {
  /** The program and its arguments; it is looked up on the app's path. */
  command: readonly string[];
  /** Null: pipes, standard output and error apart. */
  terminal: CallersTerminal | null;
  /** A program of a build; absent: one of an app that is there. */
  workshop?: Workshop;
};

/** What a program of a build has besides: it may write to its directory, and gives way to what serves. */
export type Workshop = {
  /** Its /tmp and its home, on the disk. */
  scratch: string;
  /** Directories with programs in their `bin`, which are on its path. */
  tools: readonly string[];
};

/** A one-off program that runs. It ends with the process that started it, and so does all that it has started. */
export type OneOffProgram = {
  pid: number;
  /** Bytes: see `InstanceReport`. */
  memory(): { now: number | null; limit: number | null };
  /** What it writes, until it has ended and all has been read. A terminal has no standard error of its own. */
  stdout: Readable;
  stderr: Readable;
  /** Resolves when it has been taken; with false when nobody will ever read it. */
  write(bytes: Uint8Array): Promise<boolean>;
  /** The end of its input. A terminal has none. */
  endInput(): void;
  resize(size: TerminalSize): void;
  /** To its process group. */
  signal(signal: CallersSignal | "SIGCONT"): void;
  /** Ends it and all that it has started. Resolves when nothing is left. */
  kill(): Promise<void>;
  /** Resolves once, when nothing of it is left; output may still come. Never rejects. */
  exited: Promise<Exit>;
};
