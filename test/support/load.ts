import { createHash, randomBytes } from "node:crypto";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";

export type Answer = { status: number; body: string };
export type Request = {
  method?: string;
  path?: string;
  body?: Buffer;
  headers?: Record<string, string>;
  agent?: Agent;
};

/** One request through the proxy; rejects when no whole answer comes. */
export async function fetchFrom(port: number, host: string, options: Request = {}): Promise<Answer> {
  const { method = "GET", path = "/", body, headers, agent } = options;
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
  request.end(body);
  const response = await promise;
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  if (!response.complete) throw new Error("the answer was cut off");
  return { status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") };
}

export type LoadKind = "keep-alive" | "close" | "slow" | "upload";
type Outcome = { kind: LoadKind; version: string };

/** Steady load of several kinds of clients on one hostname, until it is asked to end. Nothing is retried. */
export class Load {
  readonly outcomes: Outcome[] = [];
  readonly failures: string[] = [];
  readonly #clients: Promise<void>[] = [];
  readonly #agents: Agent[] = [];
  #ending = false;
  readonly #waiting: { count: number; resolve: () => void }[] = [];

  constructor(port: number, host: string, clients: Partial<Record<LoadKind, number>>) {
    for (const [kind, count] of Object.entries(clients) as [LoadKind, number][]) {
      for (let client = 0; client < count; client += 1) this.#clients.push(this.#run(port, host, kind));
    }
  }

  async #run(port: number, host: string, kind: LoadKind): Promise<void> {
    const agent = new Agent({ keepAlive: kind !== "close", maxSockets: 1 });
    this.#agents.push(agent);
    while (!this.#ending) {
      try {
        this.outcomes.push({ kind, version: await once(port, host, kind, agent) });
      } catch (error) {
        this.failures.push(`${kind}: ${(error as Error).message}`);
      }
      this.#tellWaiting();
    }
  }

  /** Resolves when so many requests more have ended. */
  async more(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ count: this.#ended + count, resolve });
    await promise;
  }

  get #ended(): number {
    return this.outcomes.length + this.failures.length;
  }

  #tellWaiting(): void {
    for (const waiting of [...this.#waiting]) {
      if (this.#ended < waiting.count) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve();
    }
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

/** The version that answered; throws unless the answer was whole and right. */
async function once(port: number, host: string, kind: LoadKind, agent: Agent): Promise<string> {
  const { status, body } = await fetchFrom(port, host, { agent, ...requestOf(kind) });
  if (status !== 200) throw new Error(`status ${status}: ${body.slice(0, 200)}`);
  const answer = JSON.parse(body) as { version: string; sha256?: string };
  if (kind === "upload" && answer.sha256 !== uploadHash)
    throw new Error(`the upload arrived changed: ${body}`);
  return answer.version;
}

function requestOf(kind: LoadKind): Request {
  if (kind === "slow") return { path: "/slow" };
  if (kind === "upload") return { method: "POST", path: "/upload", body: upload };
  return kind === "close" ? { headers: { connection: "close" } } : {};
}
