import type { InstallOptions, InstallReport } from "../../src/app/installation.ts";
import type { DoctorCheck } from "../../src/app/reports.ts";
import { MaestroError } from "../../src/errors.ts";
import type { CheckReport } from "../../src/protocol/reload.ts";
import type { CallOptions, OperationName, Operations, Session } from "../operations.ts";
import type { Deployed, Project } from "../project.ts";
import { sshServer } from "../ssh-address.ts";
import { type Screen, wantsColor } from "./render/screen.ts";
import type { Terminal } from "./terminal.ts";

/** What the commands need from elsewhere. */
export type Parts = {
  version: string;
  terminal: Terminal;
  connect(options: { server: string; token?: string }): Session | Promise<Session>;
  /** What a project remembers of its last deploy. */
  project(directory: string): Promise<Project>;
  remember(directory: string, deployed: Deployed): Promise<void>;
  /** Runs Maestro in this process; `flags` are the settings that were given as options, by name. */
  serve(flags: Record<string, unknown>): Promise<void>;
  /** Whether this version could take over what `serve` with these settings runs. */
  check(flags: Record<string, unknown>): Promise<CheckReport>;
  /** Ends what a Maestro without a controller has left running on a home; the default one when none is named. */
  stopWithoutServer(home: string | undefined): Promise<Ended>;
  /** Looks at this machine without a server. */
  doctor(): Promise<DoctorCheck[]>;
  /** Writes the systemd units of this machine; `flags` as for `serve`. */
  install(flags: Record<string, unknown>, options: InstallOptions): Promise<InstallReport>;
};

/** What was ended where no controller was. */
export type Ended = { home: string; stopped: string[]; instances: number; workers: number };

export type GlobalOptions = { server?: string; to?: string; json?: true };

/** Ctrl-C ended a command before its end. The message is what its person has to know; none when there is nothing. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** A program that a command ran has ended, and its exit code is the command's. */
export class ProgramEnded extends Error {
  override readonly name = "ProgramEnded";
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the program ended with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const isDatabase = /^(https?:\/\/|-$)/;
const defaultServer = "127.0.0.1:7272";

/** One call of the command line: where it asks, and how it answers. */
export class CommandLine {
  readonly parts: Parts;
  readonly #options: () => GlobalOptions;
  #namesSecondHome = false;

  constructor(parts: Parts, options: () => GlobalOptions) {
    this.parts = parts;
    this.#options = options;
  }

  get json(): boolean {
    return this.#options().json === true;
  }

  get screen(): Screen {
    const { stdout, env, now } = this.parts.terminal;
    return { color: wantsColor(stdout.isTTY, env), terminal: stdout.isTTY, now: now() };
  }

  /** The server that was named, by option or environment; undefined when the default one is meant. */
  get namedServer(): string | undefined {
    const { server } = this.#options();
    if (this.to !== undefined) return sshServer(this.to);
    return server ?? (this.parts.terminal.env["MAESTRO_SERVER"] || undefined);
  }

  /** The server to which a project is deployed: the one that was named, else the one that it remembers. */
  async serverOf(project: () => Promise<Project>): Promise<string | undefined> {
    if (this.namedServer !== undefined) return this.namedServer;
    const { to } = await project();
    return to === undefined ? undefined : sshServer(to);
  }

  /** The server that --to names, as it was written. */
  get to(): string | undefined {
    const { to } = this.#options();
    if (to === undefined || this.#namesSecondHome) return undefined;
    if (!isDatabase.test(to)) return to;
    throw new MaestroError("BAD_INPUT", "--to names a server that is reached by SSH: user@server", {});
  }

  /** The second home of a database, as --remote says it; or --to, which names a server everywhere else. */
  secondHome(remote: string | undefined): string | undefined {
    const { to } = this.#options();
    if (remote !== undefined || to === undefined || !isDatabase.test(to)) return remote;
    this.#namesSecondHome = true;
    return to;
  }

  /** What the project in the working directory remembers. */
  get project(): Promise<Project> {
    return this.parts.project(".");
  }

  /** One JSON document, or what `render` makes of the output for people. */
  print<Output>(output: Output, render: (output: Output, screen: Screen) => string): void {
    const text = this.json ? `${JSON.stringify(output)}\n` : render(output, this.screen);
    this.parts.terminal.stdout.write(text);
  }

  /** Calls an operation and prints its answer. */
  async answer<Name extends OperationName>(
    name: Name,
    input: Operations[Name]["input"],
    render: (output: Operations[Name]["output"], screen: Screen) => string,
    options: CallOptions = {},
  ): Promise<void> {
    this.print(await this.withServer((session) => session.call(name, input, options)), render);
  }

  /** Does something in a session with the server, and ends the session. */
  async withServer<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.whileOpening(undefined, async (session) => {
      await session.opened;
      return work(session);
    });
  }

  /** The same for whoever has something to do before the session is open: his first call waits until it is. */
  async whileOpening<T>(server: string | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.connect(server);
    try {
      return await work(session);
    } finally {
      session.close();
    }
  }

  /** Without a server: the one that was named, else the one to which the project here was deployed, else this machine's. */
  async connect(named?: string): Promise<Session> {
    const server = named ?? (await this.serverOf(() => this.project)) ?? defaultServer;
    const token = this.parts.terminal.env["MAESTRO_RPC_TOKEN"];
    return this.parts.connect({ server, ...(token === undefined || token === "" ? {} : { token }) });
  }

  /** Ctrl-C aborts the signal; what then fails is `Interrupted`, with what `explain` says at that moment. */
  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>, explain = () => ""): Promise<T> {
    const interruption = new AbortController();
    const forget = this.parts.terminal.onInterrupt(() => interruption.abort());
    try {
      return await work(interruption.signal);
    } catch (error) {
      if (!interruption.signal.aborted) throw error;
      throw new Interrupted(explain(), { cause: error });
    } finally {
      forget();
    }
  }
}
