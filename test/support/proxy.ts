import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  type Server,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Channel, connectChannel } from "../../src/lib/channel.ts";
import { type AppRoute, exchanges, type WorkerSettings } from "../../src/protocol/worker.ts";

export const workerEntry = resolve(import.meta.dirname, "../../src/proxy/worker.ts");
type Control = Channel<typeof exchanges>;

type Instance = { instance: string; port: number };

/** A proxy worker as a process of its own, and its control channel. Ends, and its siblings with it, when disposed. */
export class TestWorker implements AsyncDisposable {
  readonly port: number;
  readonly control: Control;
  readonly process: ChildProcess;
  readonly #directory: string;
  readonly #settings: WorkerSettings;
  readonly #channels: Control[] = [];
  #output = "";

  private constructor(
    process: ChildProcess,
    control: Control,
    port: number,
    directory: string,
    settings: WorkerSettings,
  ) {
    this.process = process;
    this.control = control;
    this.port = port;
    this.#directory = directory;
    this.#settings = settings;
    this.#channels.push(control);
    process.stdout?.on("data", (text: Buffer) => {
      this.#output += text;
    });
  }

  static async start(changes: Partial<WorkerSettings> = {}): Promise<TestWorker> {
    const directory = await mkdtemp(join(tmpdir(), "maestro-proxy-"));
    const settings: WorkerSettings = {
      control: join(directory, "1.sock"),
      listen: [{ host: "127.0.0.1", port: 0 }],
      holdMs: 10_000,
      answerMs: 20_000,
      trustedProxies: [],
      accessLog: false,
      ...changes,
    };
    const worker = fork(workerEntry, [JSON.stringify(settings)], {
      detached: true,
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    const [ready] = (await once(worker, "message")) as [{ type: string; message?: string }];
    if (ready.type !== "ready") throw new Error(ready.message);
    const control = await connectChannel(settings.control, exchanges);
    await control.ask("routes", { put: [], remove: [] });
    const { addresses } = await control.ask("status", {});
    return new TestWorker(worker, control, addresses[0]?.port ?? 0, directory, settings);
  }

  /** Everything that the worker has written on standard output until the line that holds `text`. */
  async printed(text: string): Promise<string> {
    while (!this.#output.includes(text)) await once(this.process.stdout ?? this.process, "data");
    return this.#output;
  }

  /** Puts an app on a hostname `APP.test`, served by these upstreams. */
  async route(app: string, upstreams: readonly Instance[], changes: Partial<AppRoute> = {}): Promise<void> {
    const put = [routeOf(app, upstreams, changes)];
    await this.control.ask("routes", { put, remove: [] });
  }

  /** A second connection to a worker's control socket; by default, to this one's own. */
  async connect(path: string = this.#settings.control): Promise<Control> {
    const channel = await connectChannel(path, exchanges);
    this.#channels.push(channel);
    return channel;
  }

  /** Another worker on the same sockets, with the same routes. */
  async sibling(name: string): Promise<Control> {
    const control = join(this.#directory, `${name}.sock`);
    await this.control.ask("sibling", { entry: workerEntry, settings: { ...this.#settings, control } });
    const channel = await this.connect(control);
    const { routes } = await this.control.ask("table", {});
    await channel.ask("routes", { replace: true, put: routes, remove: [] });
    return channel;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Each ends at once; one that has left already cannot be asked any more.
    await Promise.allSettled(
      this.#channels.map(async (channel) => {
        await channel.ask("leave", { requestsMs: 0, streamsMs: 0 });
        await channel.closed;
      }),
    );
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export function routeOf(
  app: string,
  upstreams: readonly Instance[],
  changes: Partial<AppRoute> = {},
): AppRoute {
  return {
    app,
    hostnames: [`${app}.test`],
    state: "serving",
    upstreams: upstreams.map(({ instance, port }) => ({ instance, host: "127.0.0.1", port })),
    ...changes,
  };
}

/** An app's instance, in the test's own process. */
export class TestUpstream implements AsyncDisposable {
  readonly instance: string;
  readonly server: Server;
  readonly requests: IncomingMessage[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(instance: string, listener: RequestListener) {
    this.instance = instance;
    this.server = createServer({ requestTimeout: 0 }, listener);
    this.server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.server.on("request", (request) => this.requests.push(request));
  }

  /** Without a listener it answers with its name. `port` takes the place of one that has been. */
  static async start(instance: string, listener?: RequestListener, port = 0): Promise<TestUpstream> {
    const answer: RequestListener = (request, response) => {
      request.resume().on("end", () => response.end(instance));
    };
    const upstream = new TestUpstream(instance, listener ?? answer);
    await once(upstream.server.listen(port, "127.0.0.1"), "listening");
    return upstream;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async end(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy(); // Node forgets those that were upgraded.
    if (this.server.listening) await once(this.server.close(), "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** An instance that is gone: nobody listens on its port, because it just did. */
export async function deadUpstream(instance: string): Promise<{ instance: string; port: number }> {
  const upstream = await TestUpstream.start(instance);
  const { port } = upstream;
  await upstream.end();
  return { instance, port };
}

export type Reply = { status: number; headers: IncomingMessage["headers"]; raw: string[]; body: string };

/** One request through the proxy; rejects when no whole answer comes. */
export async function send(
  port: number,
  host: string,
  options: RequestOptions & { body?: Buffer | string } = {},
): Promise<Reply> {
  const { promise, resolve: answered, reject } = Promise.withResolvers<IncomingMessage>();
  const { body, headers, ...rest } = options;
  const outgoing = httpRequest(
    { host: "127.0.0.1", port, agent: false, ...rest, headers: { host, ...headers } },
    answered,
  );
  outgoing.on("error", reject).end(body);
  const incoming = await promise;
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    raw: incoming.rawHeaders,
    body: await textOf(incoming),
  };
}

export async function textOf(incoming: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  if (!incoming.complete) throw new Error("the answer was cut off");
  return Buffer.concat(parts).toString("utf8");
}

/** A connection on which a test writes every byte itself. */
export class RawClient {
  readonly socket: Socket;
  #received = "";
  #ended = false;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
    });
    this.socket.on("error", () => {}); // A reset is an end like any other: `close` follows.
    this.socket.on("end", () => this.socket.end());
    this.socket.on("close", () => {
      this.#ended = true;
    });
  }

  write(text: string): this {
    this.socket.write(Buffer.from(text, "latin1"));
    return this;
  }

  /** What has come when it holds `text`. Rejects when the connection ends before. */
  async until(text: string): Promise<string> {
    while (!this.#received.includes(text)) {
      if (this.#ended) throw new Error(`the connection ended after ${JSON.stringify(this.#received)}`);
      await Promise.race([once(this.socket, "data"), once(this.socket, "close")]);
    }
    return this.#received;
  }

  /** All that came until the other side closed. */
  async untilClosed(): Promise<string> {
    if (!this.#ended) await once(this.socket, "close");
    return this.#received;
  }
}
