import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import type { DataLimits as Limits } from "../../protocol/data.ts";
import { badRequest, CouchError, toCouchError } from "./errors.ts";

/** Who is calling: a name and roles, as `_users` has them. `_admin` is the role of the server's administrator. */
export type User = { name: string; roles: readonly string[] };

const Flag = z.boolean();

let bodiesBytes = 0;

/** One request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly limits: Limits;
  /** Settled before a route's handler runs. */
  user: User = { name: "", roles: [] };
  #gone: AbortController | null = null;
  #held = 0;

  constructor(request: IncomingMessage, response: ServerResponse, limits: Limits) {
    this.request = request;
    this.response = response;
    this.limits = limits;
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    this.query = new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1));
    response.once("close", () => {
      bodiesBytes -= this.#held;
      this.#gone?.abort();
    });
  }

  get method(): string {
    return this.request.method ?? "GET";
  }

  /** The client is gone, or has its whole answer. */
  get isOver(): boolean {
    return this.response.closed;
  }

  /** Aborted when it is over. Made for those who ask: most requests are over sooner than a signal is made and aborted. */
  get gone(): AbortSignal {
    if (this.isOver) return AbortSignal.abort();
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** The request's body. Throws 413 when it is larger than it may be, 503 when all bodies together are. */
  async body(most: number = this.limits.body): Promise<Buffer> {
    const announced = Number(this.header("content-length") ?? 0);
    if (announced > most) throw tooLarge(most);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > most) throw tooLarge(most);
      this.#hold(chunk.length);
      chunks.push(chunk);
    }
    return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    bodiesBytes += bytes;
    if (bodiesBytes > this.limits.bodiesTogether) {
      throw new CouchError(
        503,
        "service_unavailable",
        "too much is being sent at once; try again in a moment",
      );
    }
  }

  /** The body as JSON that fits a schema. Throws 400, or 415 for what is no JSON by its own word. */
  async json<T extends z.ZodType>(schema: T, most?: number): Promise<z.output<T>> {
    const type = this.header("content-type");
    if (
      type !== undefined &&
      !/^(application\/json|text\/plain|application\/x-www-form-urlencoded)\b/i.test(type)
    ) {
      throw new CouchError(415, "bad_content_type", "Content-Type must be application/json");
    }
    return parse(schema, parseJson((await this.body(most)).toString("utf8")));
  }

  /** A parameter of the query that is written as JSON. */
  parameter<T extends z.ZodType>(name: string, schema: T): z.output<T> | undefined {
    const text = this.query.get(name);
    if (text === null) return undefined;
    return this.#parsed(name, schema, text, () => JSON.parse(text));
  }

  /** A parameter that is taken as it is. */
  text(name: string): string | undefined {
    return this.query.get(name) ?? undefined;
  }

  flag(name: string, otherwise = false): boolean {
    return this.parameter(name, Flag) ?? otherwise;
  }

  #parsed<T extends z.ZodType>(name: string, schema: T, text: string, read: () => unknown): z.output<T> {
    try {
      return schema.parse(read());
    } catch {
      throw new CouchError(400, "query_parse_error", `Invalid value for ${name}: ${text.slice(0, 100)}`);
    }
  }

  /** Answers with a JSON document, which ends with a line feed as CouchDB's do. */
  send(status: number, value: unknown, headers: Record<string, string> = {}): void {
    this.sendText(status, `${JSON.stringify(value)}\n`, headers);
  }

  sendText(status: number, text: string | Buffer, headers: Record<string, string>): void {
    const { response } = this;
    if (response.headersSent) return;
    response.writeHead(status, {
      "content-type": "application/json",
      "cache-control": "must-revalidate",
      "content-length": Buffer.byteLength(text),
      ...headers,
    });
    response.end(this.method === "HEAD" ? undefined : text);
  }

  /** Writes a part of a long answer; resolves when the client has taken enough of it for more to be written. */
  async write(text: string | Buffer): Promise<void> {
    if (this.isOver || this.response.write(text)) return;
    await once(this.response, "drain", { signal: this.gone }).catch(() => {}); // It is gone: whoever writes sees that.
  }

  /** Answers with an error. What has been begun cannot be taken back: then the connection ends. */
  fail(thrown: unknown): void {
    const { status, error, message } = toCouchError(thrown);
    if (this.response.headersSent) return void this.response.destroy();
    const headers: Record<string, string> = {};
    if (status === 503) headers["retry-after"] = "1";
    if (status === 401) headers["www-authenticate"] = 'Basic realm="server"';
    // What was not read of the body would be taken for the next request.
    if (!this.request.complete) headers["connection"] = "close";
    this.send(status, { error, reason: message }, headers);
  }
}

const tooLarge = (most: number) =>
  new CouchError(413, "too_large", `the request is larger than ${most} bytes`);

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest("invalid UTF-8 JSON");
  }
}

/** Throws 400 that names what is wrong. */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw badRequest(
    `${issue?.path.join(".") || "the request"}: ${issue?.message ?? "is not as it should be"}`,
  );
}
