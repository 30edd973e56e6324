import { createHash, randomBytes } from "node:crypto";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";

export type Answer = { status: number; body: string };
export type Request = {
  method?: string;
  path?: string;
  body?: Buffer;
  headers?: Record<string, string>;
  agent?: Agent;
  /** Told the local port of the connection that the request is sent on. */
  onConnection?: (localPort: number) => void;
};

/** One request through the proxy; rejects when no whole answer comes. */
export async function fetchFrom(port: number, host: string, options: Request = {}): Promise<Answer> {
  const { method = "GET", path = "/", body, headers, agent, onConnection } = options;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const length = body ? { "content-length": String(body.length) } : {};
  const request = httpRequest(
    {
      host: "127.0.0.1",
      port,
      method,
      path,
      headers: { host, ...length, ...headers },
      ...(agent ? { agent } : {}),
    },
    resolve,
  );
  request.on("error", reject);
  if (onConnection) request.once("socket", (socket: Socket) => tellPort(socket, onConnection));
  request.end(body);
  const response = await promise;
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  if (!response.complete) throw new Error("the answer was cut off");
  return { status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") };
}

function tellPort(socket: Socket, onConnection: (localPort: number) => void): void {
  const tell = () => onConnection(socket.localPort ?? 0);
  if (socket.connecting) socket.once("connect", tell);
  else tell();
}

export type LoadKind = "keep-alive" | "close" | "slow" | "upload";

/** One request of a load; times as of `performance.now()`. */
export type Visit = {
  /** Sent as `X-Request-Id`. */
  id: string;
  host: string;
  kind: LoadKind;
  beganAt: number;
  endedAt: number;
  /** The client's port; null when there never was a connection. */
  connection: number | null;
};
export type Outcome = Visit & { version: string; release: string | undefined };
export type Failure = Visit & { message: string };

/** How many clients of each kind, and where those of a kind ask when it is not the usual place. */
export type LoadOptions = {
  clients: Partial<Record<LoadKind, number>>;
  paths?: Partial<Record<LoadKind, string>>;
};

/** Steady load of several kinds of clients on one hostname, until it is asked to end. Nothing is retried. */
export class Load {
  readonly outcomes: Outcome[] = [];
  readonly failures: Failure[] = [];
  readonly #port: number;
  readonly #host: string;
  readonly #paths: Partial<Record<LoadKind, string>>;
  readonly #clients: Promise<void>[] = [];
  readonly #agents: Agent[] = [];
  #ending = false;
  #ended = 0;
  #waiting: { isOver: (visit: Visit) => boolean; resolve: () => void }[] = [];

  constructor(port: number, host: string, { clients, paths = {} }: LoadOptions) {
    this.#port = port;
    this.#host = host;
    this.#paths = paths;
    for (const [kind, count] of Object.entries(clients) as [LoadKind, number][]) {
      for (let client = 0; client < count; client += 1) this.#clients.push(this.#run(kind, client));
    }
  }

  async #run(kind: LoadKind, client: number): Promise<void> {
    const agent = new Agent({ keepAlive: kind !== "close", maxSockets: 1 });
    this.#agents.push(agent);
    for (let turn = 1; !this.#ending; turn += 1) {
      const id = `${this.#host}/${kind}-${client}/${turn}`;
      const beganAt = performance.now();
      const visit: Visit = { id, host: this.#host, kind, beganAt, endedAt: 0, connection: null };
      await this.#visit(visit, agent);
      this.#tellWaiting(visit);
    }
  }

  async #visit(visit: Visit, agent: Agent): Promise<void> {
    const onConnection = (localPort: number) => {
      visit.connection = localPort;
    };
    const request = { agent, onConnection, ...requestOf(visit, this.#paths[visit.kind]) };
    try {
      const answer = await once(this.#port, this.#host, request);
      visit.endedAt = performance.now();
      this.outcomes.push(Object.assign(visit, answer));
    } catch (error) {
      visit.endedAt = performance.now();
      this.failures.push(Object.assign(visit, { message: (error as Error).message }));
    }
    this.#ended += 1;
  }

  /** Resolves when so many requests more have ended. */
  async more(count: number): Promise<void> {
    const enough = this.#ended + count;
    await this.#until(() => this.#ended >= enough);
  }

  /** Resolves when every client has ended a request that it began after this call. */
  async round(): Promise<void> {
    const from = performance.now();
    const seen = new Set<string>();
    await this.#until(({ id, beganAt }) => {
      if (beganAt >= from) seen.add(id.slice(0, id.lastIndexOf("/")));
      return seen.size === this.#clients.length;
    });
  }

  async #until(isOver: (visit: Visit) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ isOver, resolve });
    await promise;
  }

  #tellWaiting(visit: Visit): void {
    this.#waiting = this.#waiting.filter(({ isOver, resolve }) => {
      const over = isOver(visit);
      if (over) resolve();
      return !over;
    });
  }

  /** What has ended since it was last taken; it is forgotten here. */
  take(): { outcomes: Outcome[]; failures: Failure[] } {
    return { outcomes: this.outcomes.splice(0), failures: this.failures.splice(0) };
  }

  /** Lets each client finish its last request. */
  async end(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#clients);
    for (const agent of this.#agents) agent.destroy();
  }

  versions(kind?: LoadKind): Set<string> {
    const wanted = this.outcomes.filter((outcome) => kind === undefined || outcome.kind === kind);
    return new Set(wanted.map(({ version }) => version));
  }
}

const upload = randomBytes(1024 * 1024);
const uploadHash = createHash("sha256").update(upload).digest("hex");

/** Who answered; throws unless the answer was whole and right. */
async function once(
  port: number,
  host: string,
  request: Request,
): Promise<Pick<Outcome, "version" | "release">> {
  const { status, body } = await fetchFrom(port, host, request);
  if (status !== 200) throw new Error(`status ${status}: ${body.slice(0, 200)}`);
  const answer = JSON.parse(body) as { version: string; release?: string; sha256?: string };
  if (request.body && answer.sha256 !== uploadHash) throw new Error(`the upload arrived changed: ${body}`);
  return { version: answer.version, release: answer.release };
}

function requestOf({ kind, id }: Visit, path: string | undefined): Request {
  const headers = { "x-request-id": id };
  if (kind === "slow") return { path: path ?? "/slow", headers };
  if (kind === "upload") return { method: "POST", path: path ?? "/upload", body: upload, headers };
  const connection = kind === "close" ? { connection: "close" } : {};
  return { path: path ?? "/", headers: { ...headers, ...connection } };
}
