import {
  type Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { request as httpsRequest } from "node:https";
import { z } from "zod";
import { MaestroError } from "../../errors.ts";
import { Pool, type Transport, type UpstreamConnection } from "../../http/pool.ts";
import { Agents } from "./agents.ts";

/** Where a server is: a unix socket, or a URL. The URL carries its credentials. */
export type ServerPlace = { socket: string; name: string; password: string } | { url: string };

/** An answer that was read whole. */
export type Answer = { status: number; json: unknown };

/** Connections of the byte path, and of each app on the general one. */
const mostOpen = 256;

/** A server that speaks CouchDB's API, entered with one set of credentials. */
export class Backend {
  /** What is put before a path: a server may live below one. */
  readonly prefix: string;
  readonly authorization: string;
  /** As `Host` names it. */
  readonly host: string;
  /** Without credentials. */
  readonly shown: string;
  readonly #options: RequestOptions;
  readonly #agents: Agents;
  readonly #send: typeof httpRequest;
  /** Of the byte path; null behind TLS, and without a transport. */
  readonly #pool: Pool | null;

  /** `transport`: by which it is sent requests as bytes. */
  constructor(place: ServerPlace, transport: Transport | null = null) {
    if ("socket" in place) {
      this.#options = { socketPath: place.socket };
      this.authorization = basic(place.name, place.password);
      this.#agents = new Agents({ isSecure: false, mostOpen });
      this.#send = httpRequest;
      this.#pool = transport && new Pool({ path: place.socket }, transport);
      this.prefix = "";
      this.host = "localhost";
      this.shown = "embedded";
      return;
    }
    const url = parseServerUrl(place.url);
    const secure = url.protocol === "https:";
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = Number(url.port || (secure ? 443 : 80));
    this.#options = { hostname: host, port };
    this.#pool = secure || !transport ? null : new Pool({ host, port }, transport);
    this.authorization = basic(decodeURIComponent(url.username), decodeURIComponent(url.password));
    this.#agents = new Agents({ isSecure: secure, mostOpen });
    this.#send = secure ? httpsRequest : httpRequest;
    this.host = url.host;
    this.prefix = url.pathname.replace(/\/+$/, "");
    this.shown = withoutCredentials(url.href);
  }

  /** To send a request over as bytes, the latest used of those that are idle; null when there is none. */
  takeConnection(): UpstreamConnection | null {
    return this.#pool?.take() ?? null;
  }

  /** Whether there may be one more. Not behind TLS, nor when enough are in use; `open` waits for one then. */
  get mayConnect(): boolean {
    return this.#pool !== null && this.#pool.open < mostOpen;
  }

  /** Rejects with the system's error, or with the signal's reason. */
  connect(signal: AbortSignal): Promise<UpstreamConnection> {
    if (this.#pool === null) throw new Error(`${this.shown} is not reached as bytes`);
    return this.#pool.connect(signal);
  }

  /** Opens a request of an app; whoever asks sends the body. */
  open(app: string, method: string, path: string, headers: RequestOptions["headers"]): ClientRequest {
    return this.#open(this.#agents.of(app), method, path, headers);
  }

  #open(agent: Agent, method: string, path: string, headers: RequestOptions["headers"]): ClientRequest {
    return this.#send({ ...this.#options, agent, method, path: this.prefix + path, headers });
  }

  /** Asks with JSON, and reads the whole answer. Rejects with the system's error, or when it is not in time. */
  async ask(
    method: string,
    path: string,
    { body, timeoutMs = 10_000, signal, authorization = this.authorization }: AskOptions = {},
  ): Promise<Answer> {
    const limit = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
    const json = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      authorization,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(json),
    };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = this.#open(this.#agents.own, method, path, headers)
      .once("response", resolve)
      .once("error", reject);
    const began = performance.now();
    const giveUp = () =>
      outgoing.destroy(new Error(`no answer within ${((performance.now() - began) / 1000).toFixed(1)} s`));
    limit.addEventListener("abort", giveUp, { once: true });
    try {
      outgoing.end(json);
      const response = await promise;
      const chunks: Buffer[] = [];
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
      return { status: response.statusCode ?? 0, json: parsed(Buffer.concat(chunks).toString("utf8")) };
    } finally {
      limit.removeEventListener("abort", giveUp);
    }
  }

  /** As `ask`, for what has to succeed: rejects with what the server said. */
  async must(
    method: string,
    path: string,
    options: AskOptions & { allow?: readonly number[] } = {},
  ): Promise<unknown> {
    const answer = await this.ask(method, path, options);
    if (answer.status < 300 || options.allow?.includes(answer.status)) return answer.json;
    throw this.#refused(answer);
  }

  /** Whether there is something under a path. Rejects with what else the server says. */
  async has(path: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.ask("GET", path, { signal });
    if (answer.status === 200 || answer.status === 404) return answer.status === 200;
    throw this.#refused(answer);
  }

  #refused({ status, json }: Answer): Error {
    const { error, reason } = Refusal.parse(json);
    return new Error(`${this.shown} answered ${status} ${error}: ${reason}`.slice(0, 300));
  }

  close(): void {
    this.#agents.close();
    this.#pool?.close();
  }
}

type AskOptions = {
  body?: unknown;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
  authorization?: string;
};

const Refusal = z
  .looseObject({ error: z.string().catch("error"), reason: z.string().catch("") })
  .catch({ error: "error", reason: "" });

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // Not a CouchDB, or something in between: its status says enough.
  }
}

export const basic = (name: string, password: string) =>
  `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;

/** Throws `BAD_INPUT` without repeating what was given: it may hold a password. */
export function parseServerUrl(text: string): URL {
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== "" && isDecodable(url)) return url;
  throw new MaestroError(
    "BAD_INPUT",
    "that is not the URL of a CouchDB; write https://user:password@host[:port], with %25 for a % in the password",
    {},
  );
}

/** A browser's URL may hold a % that begins nothing. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(`${username}:${password}`);
    return true;
  } catch {
    return false;
  }
}

/** A URL as it may be shown. */
export function withoutCredentials(text: string): string {
  const url = parseServerUrl(text);
  url.username = "";
  url.password = "";
  return url.href;
}
