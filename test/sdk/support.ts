import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import type { Parts } from "../../sdk/cli/command-line.ts";
import { main } from "../../sdk/cli/main.ts";
import type { Console } from "../../sdk/cli/terminal.ts";
import type { CallOptions, OperationName, Operations, Session } from "../../sdk/operations.ts";
import type { Project } from "../../sdk/project.ts";
import type { InstallOptions, InstallReport } from "../../src/app/installation.ts";
import type { DoctorCheck } from "../../src/app/reports.ts";

type Answerer = (input: Record<string, unknown>, options: CallOptions) => unknown;

/** A server that answers as it is told, and remembers what it was asked. */
export class FakeServer implements Session {
  readonly calls: { name: string; input: Record<string, unknown> }[] = [];
  readonly connections: { server: string; token?: string }[] = [];
  closed = 0;
  readonly #answers: Record<string, Answerer>;

  constructor(answers: Record<string, Answerer> = {}) {
    this.#answers = answers;
  }

  async call<Name extends OperationName>(
    name: Name,
    input: Operations[Name]["input"],
    options: CallOptions = {},
  ): Promise<Operations[Name]["output"]> {
    this.calls.push({ name, input: { ...input } });
    // A test answers what it knows to be looked at, not always the whole.
    return (await (this.#answers[name]?.({ ...input }, options) ?? {})) as Operations[Name]["output"];
  }

  close(): void {
    this.closed += 1;
  }
}

export type Ran = {
  code: number;
  stdout: string;
  stderr: string;
  served: Record<string, unknown>[];
  remembered: object[];
  installed: [flags: Record<string, unknown>, options: InstallOptions][];
};
export type RunOptions = {
  env?: Record<string, string>;
  tty?: boolean;
  now?: number;
  /** What standard input holds. */
  input?: string;
  project?: Project;
  connect?: Parts["connect"];
  check?: Parts["check"];
  stopWithoutServer?: Parts["stopWithoutServer"];
  doctor?: () => Promise<DoctorCheck[]>;
  installation?: InstallReport;
  /** Receives a function that presses Ctrl-C. */
  onReady?: (interrupt: () => void) => void;
};

/** No terminal, and nothing to read. */
export const noConsole: Console = {
  isTerminal: false,
  size: { columns: 80, rows: 24 },
  async *input() {},
  write: async () => {},
  raw: () => () => {},
  onResize: () => () => {},
  onSignal: () => () => {},
};

/** One call of the command line, against a fake server and a terminal that only remembers. */
export async function runCli(
  argv: string[],
  server = new FakeServer(),
  options: RunOptions = {},
): Promise<Ran> {
  const ran: Ran = { code: -1, stdout: "", stderr: "", served: [], remembered: [], installed: [] };
  const output = (name: "stdout" | "stderr") => ({
    isTTY: options.tty ?? false,
    columns: 100,
    write: (text: string) => {
      ran[name] += text;
    },
  });
  const listeners = new Set<() => void>();
  options.onReady?.(() => {
    for (const listener of listeners) listener();
  });
  const parts: Parts = {
    version: "9.8.7",
    terminal: {
      console: noConsole,
      env: options.env ?? {},
      stdout: output("stdout"),
      stderr: output("stderr"),
      readInput: async () => options.input ?? "",
      now: () => options.now ?? 0,
      onInterrupt(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    project: async () => options.project ?? {},
    remember: async (_directory, deployed) => void ran.remembered.push(deployed),
    connect:
      options.connect ??
      ((connection) => {
        server.connections.push(connection);
        return server;
      }),
    serve: async (flags) => void ran.served.push(flags),
    stopWithoutServer: options.stopWithoutServer ?? (() => Promise.reject(new Error("nothing to stop"))),
    check: options.check ?? (() => Promise.reject(new Error("nothing to check"))),
    doctor: options.doctor ?? (async () => []),
    install: async (flags, installOptions) => {
      ran.installed.push([flags, installOptions]);
      return options.installation ?? { dryRun: false, units: [], ran: [], notes: [], next: [] };
    },
  };
  ran.code = await main(argv, parts);
  return ran;
}

/** A directory with these files, gone when the test has ended. Names that end in / are empty directories. */
export async function directoryWith(files: Record<string, string> = {}, name = "tree"): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "maestro-sdk-"));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const directory = join(parent, name);
  await mkdir(directory);
  for (const [path, content] of Object.entries(files)) {
    const target = join(directory, path);
    await mkdir(path.endsWith("/") ? target : dirname(target), { recursive: true });
    if (!path.endsWith("/")) await writeFile(target, content);
  }
  return directory;
}
