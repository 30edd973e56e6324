import { CommanderError } from "commander";
import { catalogue, MaestroError, toWire, type WireError } from "../../src/errors.ts";
import { Interrupted, type Parts, ProgramEnded } from "./command-line.ts";
import { buildProgram } from "./program.ts";
import { wantsColor } from "./render/screen.ts";
import { commandOf, markProgram } from "./words.ts";

/** What a shell reports of a program that Ctrl-C ended: 128 + SIGINT. */
const interruptedExitCode = 130;
const wrongUsageExitCode = 2;

/** Runs one command. `words` are without the program's own name; resolves with the exit code. */
export async function main(words: readonly string[], parts: Parts): Promise<number> {
  const argv = markProgram(words);
  const failure = new Failure(parts, wantsJson(argv));
  try {
    const program = await buildProgram(parts, { called: commandOf(argv), quiet: failure.json });
    await program.parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    return failure.tell(error);
  }
}

/** Known before the arguments are parsed, since a fault in them is told in the same form. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end === -1 ? argv : argv.slice(0, end)).includes("--json");
}

/** Tells why a command failed, in the form that was asked for, and what the exit code is. */
class Failure {
  readonly json: boolean;
  readonly #parts: Parts;

  constructor(parts: Parts, json: boolean) {
    this.#parts = parts;
    this.json = json;
  }

  async tell(error: unknown): Promise<number> {
    if (error instanceof ProgramEnded) return error.exitCode;
    if (error instanceof CommanderError) return this.#usage(error);
    if (error instanceof Interrupted) return this.#interrupted(error);
    const wire = wireOf(error);
    await this.#write(wire);
    return catalogue[wire.code].exitCode;
  }

  /** For people commander itself has written what is wrong, or the help that was asked for. */
  async #usage({ exitCode, message }: CommanderError): Promise<number> {
    if (exitCode === 0) return 0;
    if (this.json)
      await this.#write({ code: "BAD_INPUT", message: message.replace(/^error: /, ""), details: {} });
    return wrongUsageExitCode;
  }

  async #interrupted({ message }: Interrupted): Promise<number> {
    if (message !== "") await this.#write({ code: "INTERNAL", message, details: { interrupted: true } });
    return interruptedExitCode;
  }

  async #write(wire: WireError): Promise<void> {
    const { stdout, stderr, env, now } = this.#parts.terminal;
    if (this.json) {
      stdout.write(`${JSON.stringify({ error: wire })}\n`);
    } else {
      const { renderFailure } = await import("./render/failure.ts");
      stderr.write(
        renderFailure(wire, { color: wantsColor(stderr.isTTY, env), terminal: stderr.isTTY, now: now() }),
      );
    }
  }
}

/** Errors of the server come as plain objects or as errors of another class, with the same three fields. */
function wireOf(error: unknown): WireError {
  if (error instanceof MaestroError || !(error instanceof Error)) return toWire(error);
  const { code, details } = error as { code?: unknown; details?: unknown };
  if (!isErrorCode(code)) return toWire(error);
  const known = typeof details === "object" && details !== null ? (details as WireError["details"]) : {};
  return { code, message: error.message, details: known };
}

function isErrorCode(code: unknown): code is WireError["code"] {
  return typeof code === "string" && Object.hasOwn(catalogue, code);
}
