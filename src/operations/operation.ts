import { z } from "zod";
import type { AuditEntry, KeyAdded, KeyReport } from "../app/key.ts";
import { type Access, mayCall, type Principal } from "../app/principal.ts";
import type { DeployProgress, LogLine, ReloadReport } from "../app/reports.ts";
import type { RunOutput, RunStarted } from "../app/run-reports.ts";
import type { Controller } from "../control/controller.ts";
import { MaestroError } from "../errors.ts";

/** What an operation knows of the call besides its input. */
export type Call = {
  principal: Principal;
  /** Aborted when the caller is gone. */
  signal: AbortSignal;
  /** The same for all calls of one session, and for those of no other. */
  session: object;
  onProgress?: ((progress: DeployProgress) => void) | undefined;
  onLine?: ((line: LogLine) => void) | undefined;
  onStarted?: ((started: RunStarted) => void) | undefined;
  onOutput?: ((output: RunOutput) => void) | undefined;
};

/** Who may deploy over SSH, and what was done. */
export type AccessPort = {
  keys(): KeyReport[];
  add(name: string, publicKey: string, apps: readonly string[]): Promise<KeyAdded>;
  remove(name: string): Promise<void>;
  history(count: number, app: string | undefined): Promise<AuditEntry[]>;
};

/** What operations act on: the controller, and what only the process as a whole can do. */
export type Subject = {
  controller: Controller;
  access: AccessPort;
  process: {
    version: string;
    startedAt: string;
    rpc: string;
    http: string[];
    /** Ends all of Maestro, after the answer has been sent. */
    end(): void;
    /** Replaces this Maestro by the installed version, after the answer has been sent. Throws `RELOAD_FAILED`. */
    reload(): Promise<ReloadReport>;
  };
};

export type Operation = {
  name: string;
  /** One sentence, for help texts and later API descriptions. */
  summary: string;
  access: Access;
  input: z.ZodType;
  output: z.ZodType;
  /** The app that an input is about, for operations that a key may call for its own apps. */
  appOf(input: unknown): string | undefined;
  handle(subject: Subject, input: unknown, call: Call): Promise<unknown>;
};

type Definition<I extends z.ZodType, O extends z.ZodType> = {
  name: string;
  summary: string;
  access: Access;
  input: I;
  output: O;
  handle(subject: Subject, input: z.output<I>, call: Call): Promise<z.input<O>>;
};

/** An operation with typed input and output, as an entry of the table. */
export function operation<I extends z.ZodType, O extends z.ZodType>(definition: Definition<I, O>): Operation {
  return {
    ...definition,
    appOf: (input) => z.object({ app: z.string() }).safeParse(input).data?.app,
    handle: (subject, input, call) => definition.handle(subject, definition.input.parse(input), call),
  };
}

/** Calls an operation: does it exist, is the input right, may this caller? Throws `BAD_INPUT` or `UNAUTHORIZED`. */
export async function dispatch(
  table: ReadonlyMap<string, Operation>,
  subject: Subject,
  name: string,
  input: unknown,
  call: Call,
): Promise<unknown> {
  const found = table.get(name);
  if (!found) throw new MaestroError("BAD_INPUT", `there is no operation "${name}"`, { operation: name });
  const parsed = found.input.safeParse(input ?? {});
  if (!parsed.success) {
    throw new MaestroError("BAD_INPUT", `${name}: ${sentence(parsed.error)}`, { operation: name });
  }
  if (!mayCall(call.principal, found.access, found.appOf(input))) {
    throw notAllowed(call.principal, name, found.appOf(input));
  }
  return found.handle(subject, input ?? {}, call);
}

function notAllowed(principal: Principal, operation: string, app: string | undefined): MaestroError {
  const who =
    principal.kind === "key" ? `the key ${principal.name} is for ${principal.apps.join(", ")}, and` : "you";
  const what = app === undefined ? ` ${operation} for all of Maestro` : ` ${operation} for ${app}`;
  return new MaestroError("UNAUTHORIZED", `${who} may not call${what}`, { operation });
}

function sentence(error: z.ZodError): string {
  return error.issues
    .map(({ message, path }) => (path.length > 0 ? `${path.join(".")}: ${message}` : message))
    .join("; ");
}
