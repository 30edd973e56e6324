import { createHash } from "node:crypto";
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../support/fuzz.ts";
import { TestGeneralPath } from "../support/general-path.ts";
import { TestPlane } from "../support/plane.ts";
import { TestUpstream } from "../support/proxy.ts";

/**
 * The same exchanges through the byte path and through the general path: what the app saw and what the client saw is
 * the same. `DIFFERENTIAL_EXCHANGES` for more of them, `DIFFERENTIAL_SEED` to repeat a run.
 */
const exchanges = Number(process.env["DIFFERENTIAL_EXCHANGES"] ?? 2000);
const seed = Number(process.env["DIFFERENTIAL_SEED"] ?? Date.now() % 2 ** 31);

type Part = { headers: [string, string][]; body: string[]; isChunked: boolean; trailers: [string, string][] };
type Exchange = {
  method: string;
  path: string;
  request: Part;
  status: number;
  answer: Part;
  hints: boolean;
  /** The app answers without having read the request's body. */
  isEarly: boolean;
};

/** What one side saw of a message. */
type Seen = { line: string; headers: string[]; body: string; trailers: string[] };

const names = [
  "Accept",
  "X-A",
  "x-b",
  "Cookie",
  "Cache-Control",
  "User-Agent",
  "X-Forwarded-For",
  "Forwarded",
  "TE",
];
const answerNames = ["Set-Cookie", "ETag", "X-A", "Vary", "Server", "Keep-Alive", "Content-Type", "Date"];
/** Nothing beyond ASCII: in a request the general path changes it, which is a fault of Node's and not to be matched. */
const values = ["1", "a, b", "", 'quoted "text"', "a=b; c", "x".repeat(300), "tab\there", "a:b"];
const paths = [
  "/",
  "/a//b",
  "/?q=1&r=%20",
  "/%2e%2e/x",
  "/a;b?c{d}|e",
  "/mounted",
  "/mounted/a//b?c",
  `/${"long/".repeat(100)}`,
];

function makeExchange(random: Random): Exchange {
  const method = random.of(["GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
  const request = makePart(random, names, method === "POST" ? 0.9 : 0.15);
  const status = random.of([200, 200, 200, 201, 204, 206, 301, 304, 404, 500, 503]);
  const answer = makePart(
    random,
    answerNames,
    status === 204 || status === 304 || method === "HEAD" ? 0 : 0.8,
  );
  return {
    method,
    path: random.of(paths),
    request,
    status,
    answer,
    hints: random.chance(0.1),
    isEarly: random.chance(0.1),
  };
}

function makePart(random: Random, from: readonly string[], bodies: number): Part {
  const headers: [string, string][] = [];
  for (let count = random.below(5); count > 0; count -= 1) headers.push([random.of(from), random.of(values)]);
  if (random.chance(0.1)) headers.push(["Connection", "X-Named, keep-alive"], ["X-Named", "secret"]);
  const body: string[] = [];
  const isChunked = random.chance(0.5);
  if (random.chance(bodies)) {
    for (let count = 1 + random.below(4); count > 0; count -= 1) {
      body.push(
        random.of([
          "x",
          "y".repeat(100),
          "z".repeat(1 + random.below(20_000)),
          "\0\r\n\r\n",
          "w".repeat(90_000),
        ]),
      );
    }
  }
  const trailers: [string, string][] =
    isChunked && body.length > 0 && random.chance(0.3) ? [["X-Sum", "1"]] : [];
  return { headers, body, isChunked: isChunked && body.length > 0, trailers };
}

const hash = (body: string) => `${body.length} ${createHash("sha1").update(body, "latin1").digest("hex")}`;

/** The headers that the two paths may set differently: about their own connections, and about themselves. */
const ownNames = new Set([
  "connection",
  "keep-alive",
  "date",
  "x-request-id",
  "x-forwarded-port",
  "transfer-encoding",
]);

function headersOf(raw: readonly string[]): string[] {
  const lines: string[] = [];
  const cookies: string[] = []; // Several may be joined (RFC 9113, 8.2.3, has them apart for HTTP/2 only).
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]?.toLowerCase() ?? "";
    if (name === "cookie") cookies.push(raw[at + 1] ?? "");
    else if (!ownNames.has(name)) lines.push(`${name}: ${raw[at + 1]}`);
  }
  return [...lines.sort(), cookies.join("; ").trim()];
}

async function read(incoming: IncomingMessage, line: string): Promise<Seen> {
  let body = "";
  incoming.setEncoding("latin1");
  for await (const part of incoming) body += part;
  if (!incoming.complete) throw new Error("cut off");
  return { line, headers: headersOf(incoming.rawHeaders), body: hash(body), trailers: incoming.rawTrailers };
}

let current: Exchange;
let seenByApp: Promise<Seen>;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { answer, status, hints, isEarly, method } = current;
  const seen = read(request, `${request.method} ${request.url}`);
  seenByApp = seen;
  seen.catch(() => {}); // It is looked at where it is compared.
  if (!isEarly) await seen;
  if (hints) response.writeInformation(103, ["Link", "</a.css>; rel=preload"]);
  const flat = answer.headers.flat();
  const length = answer.body.join("").length;
  const bodiless = status === 204 || status === 304;
  if (!answer.isChunked && !bodiless) flat.push("Content-Length", String(length));
  if (answer.trailers.length > 0) flat.push("Trailer", "X-Sum");
  response.writeHead(status, flat);
  if (method !== "HEAD") for (const part of answer.body) response.write(part, "latin1");
  if (answer.trailers.length > 0 && method !== "HEAD") response.addTrailers(answer.trailers);
  response.end();
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

async function ask(port: number, { method, path, request }: Exchange): Promise<{ app: Seen; client: Seen }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const informed: string[] = [];
  const length = request.body.join("").length;
  const headers = ["Host", "a.test", ...request.headers.flat()];
  if (request.isChunked) headers.push("Transfer-Encoding", "chunked");
  else if (length > 0) headers.push("Content-Length", String(length));
  if (request.trailers.length > 0) headers.push("Trailer", "X-Sum");
  const outgoing = httpRequest({ host: "127.0.0.1", port, agent, method, path, headers }, resolve);
  outgoing.on("information", ({ statusCode, rawHeaders }) =>
    informed.push(`${statusCode} ${headersOf(rawHeaders)}`),
  );
  outgoing.on("error", reject);
  for (const part of request.body) outgoing.write(part, "latin1");
  if (request.trailers.length > 0) outgoing.addTrailers(request.trailers);
  outgoing.end();
  const incoming = await promise;
  const client = await read(incoming, `${incoming.statusCode} ${incoming.statusMessage} ${informed}`);
  return { app: await seenByApp, client };
}

let bytes: TestPlane;
let general: TestGeneralPath;
let app: TestUpstream;
beforeAll(async () => {
  [bytes, general] = [await TestPlane.start(), await TestGeneralPath.start()];
  app = await TestUpstream.start("a", (request, response) => void answer(request, response));
  const mounts = { hostnames: ["a.test", "a.test/mounted"], stripped: ["a.test/mounted"] };
  for (const path of [bytes, general]) path.route("a", app.port, mounts);
});
afterAll(async () => {
  agent.destroy();
  await Promise.all([bytes, general, app].map((part) => part[Symbol.asyncDispose]()));
});

describe("the byte path", () => {
  it(`passes on what the general path passes on, both ways (DIFFERENTIAL_SEED=${seed})`, {
    timeout: exchanges * 100,
  }, async () => {
    const random = new Random(seed);
    for (let index = 0; index < exchanges; index += 1) {
      current = makeExchange(random);
      const expected = await ask(general.port, current);
      const passed = await ask(bytes.port, current);
      expect(passed, `exchange ${index} of DIFFERENTIAL_SEED=${seed}`).toEqual(expected);
      app.requests.length = 0;
    }
    expect(bytes.plane.status().requests).toBe(exchanges);
  });
});
