import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Account, Accounts } from "../../src/data/accounts.ts";
import { connectChannel } from "../../src/lib/channel.ts";
import { type EndpointSettings, endpointExchanges, type LocalReport } from "../../src/protocol/data.ts";
import { basic, TestDatabase } from "./data.ts";
import { freePort } from "./free-port.ts";
import { repository } from "./maestro.ts";

type Answer = { status: number; text: string; headers: Headers; json(): ReturnType<typeof JSON.parse> };

export type EndpointProcess = { pid: number; end(signal?: NodeJS.Signals): Promise<void> };

/** Resolves when it serves. */
export async function spawnEndpoint(
  settings: EndpointSettings,
  onOutput: (text: string) => void = () => {},
): Promise<EndpointProcess> {
  const entry = join(repository, "src/data/endpoint.ts");
  const args = ["--disable-warning=ExperimentalWarning", entry, "--tell", JSON.stringify(settings)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      onOutput(text);
    });
  }
  await once((child.stdio[3] as Socket).resume(), "close");
  if (child.exitCode !== null) throw new Error(`the endpoint ended at its start: ${output}`);
  const end = async (signal: NodeJS.Signals = "SIGKILL") => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return { pid: child.pid ?? Number.NaN, end };
}

/** An endpoint before a local database, and a remote one as the databases' second home. */
export class TestEndpoint implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly local: TestDatabase;
  readonly remote: TestDatabase;
  readonly accounts: Accounts;
  #process: EndpointProcess | null = null;
  output = "";

  private constructor(directory: string, port: number, local: TestDatabase, remote: TestDatabase) {
    this.directory = directory;
    this.port = port;
    this.local = local;
    this.remote = remote;
    this.accounts = new Accounts(join(directory, "apps"));
  }

  static async start(): Promise<TestEndpoint> {
    const directory = await mkdtemp(join(tmpdir(), "data-test-"));
    const [local, remote] = await Promise.all([TestDatabase.behindEndpoint(), TestDatabase.start()]);
    await mkdir(join(directory, "apps"));
    await copyFile(join(local.directory, "secrets.json"), join(directory, "secrets.json"));
    const endpoint = new TestEndpoint(directory, await freePort(), local, remote);
    await endpoint.serve();
    return endpoint;
  }

  get settings(): EndpointSettings {
    return {
      state: this.directory,
      listen: { host: "127.0.0.1", port: this.port },
      control: join(this.directory, "control.sock"),
      lock: join(this.directory, "lock"),
      local: { kind: "embedded", socket: this.local.socket ?? "" },
    };
  }

  async serve(): Promise<void> {
    this.#process = await spawnEndpoint(this.settings, (text) => {
      this.output += text;
    });
  }

  get pid(): number {
    return this.#process?.pid ?? Number.NaN;
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#process?.end(signal);
  }

  /** An app with a database, and with a second home if one is wanted. */
  async app(
    name: string,
    { replicated = false, remote }: { replicated?: boolean; remote?: string } = {},
  ): Promise<TestApp> {
    const account = await this.accounts.ensure(name);
    if (replicated) await this.accounts.save({ ...account, remote: remote ?? `${this.remote.url}/${name}` });
    await this.#ask("reload");
    return new TestApp(this, account);
  }

  /** Resolves when what is told of the local server fits. */
  async untilLocal(fits: (local: LocalReport) => boolean): Promise<LocalReport> {
    for (;;) {
      const { local } = await this.report();
      if (fits(local)) return local;
      await pause(50);
    }
  }

  /** Resolves when everything of an app's database is in both homes, as the endpoint tells it. */
  idle(app: string): Promise<DatabaseReport> {
    return this.until(
      app,
      ({ directions }) => directions.length === 2 && directions.every(({ state }) => state === "idle"),
    );
  }

  async #ask(name: "reload"): Promise<void> {
    const channel = await connectChannel(this.settings.control, endpointExchanges);
    await channel.ask(name, {});
    channel.close();
  }

  async report(input: { conflicts?: boolean } = {}) {
    const channel = await connectChannel(this.settings.control, endpointExchanges);
    try {
      return await channel.ask("report", input);
    } finally {
      channel.close();
    }
  }

  /** Resolves when the report of an app's database fits; it is asked for again and again. */
  async until(app: string, fits: (report: DatabaseReport) => boolean): Promise<DatabaseReport> {
    for (;;) {
      const { databases } = await this.report();
      const found = databases.find((database) => database.app === app);
      if (found && fits(found)) return found;
      await pause(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Promise.all([this.local[Symbol.asyncDispose](), this.remote[Symbol.asyncDispose]()]);
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

type DatabaseReport = Awaited<ReturnType<TestEndpoint["report"]>>["databases"][number];

/** An app as it sees its database. */
export class TestApp {
  readonly account: Account;
  readonly #endpoint: TestEndpoint;

  constructor(endpoint: TestEndpoint, account: Account) {
    this.#endpoint = endpoint;
    this.account = account;
  }

  /** What it finds in COUCHDB_URL. */
  get url(): string {
    const { app, password } = this.account;
    return `http://${app}:${password}@127.0.0.1:${this.#endpoint.port}/${app}`;
  }

  /** A path below the database, or from the root when it begins with "//". */
  async ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const { app, password } = this.account;
    const whole = path.startsWith("//") ? path.slice(1) : `/${app}${path}`;
    const response = await fetch(`http://127.0.0.1:${this.#endpoint.port}${whole}`, {
      method,
      headers: { authorization: basic(app, password), "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text, headers: response.headers, json: () => JSON.parse(text) };
  }
}
