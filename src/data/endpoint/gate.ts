import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { z } from "zod";
import { isPasswordOf } from "../accounts.ts";
import { endedSession, sessionCookie } from "../session-cookie.ts";
import { mostHead, requestMs } from "./connection.ts";
import { authenticate, type Entrance, leadsOut, readTarget, sessionKey } from "./entrance.ts";
import { forward, type Incoming, refuse } from "./forward.ts";

/**
 * The general path of all apps to their databases: who is it, is it his database, and then on to where that is served from.
 * It listens nowhere: connections bring it the requests that are not for the byte path. `onAnswered`: one has its answer,
 * or will never have it.
 */
export function createGate(entrance: Entrance, onAnswered: (stream: Duplex) => void): Server {
  const options = { maxHeaderSize: mostHead, requestTimeout: requestMs, keepAliveTimeout: 0 };
  const server = createServer(options, (request, response) => {
    response.once("close", () => onAnswered(request.socket));
    enter(request, response, entrance).catch(() => response.destroy()); // The app has gone while it was sending.
  });
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    response.once("close", () => onAnswered(request.socket));
    refuse(response, 417, "expectation_failed", "the only Expect is 100-continue");
  });
  server.emit("listening"); // When Node begins to watch for requests that take too long.
  return server;
}

async function enter(request: IncomingMessage, response: ServerResponse, entrance: Entrance): Promise<void> {
  // Its answer is the request as it arrived, with the credentials that it was given on its way.
  if (request.method === "TRACE") return refuse(response, 405, "method_not_allowed", "TRACE is not allowed");
  const target = readTarget(request.url ?? "/");
  if (!target) return refuse(response, 400, "bad_request", "the path is not one of CouchDB's");
  const incoming = { request, response, ...target };
  const { path } = target;
  const [first = ""] = path;
  if (first === "_up") return send(response, 200, { status: "ok" });
  if (first === "_session" && request.method !== "GET") return session(incoming, entrance);
  const home = authenticate(request.headers, entrance);
  if (!home) {
    if (first === "_session" && isAnonymous(request)) return tellSession(response, null);
    return refuse(response, 401, "unauthorized", "Name or password is incorrect.");
  }
  const { app } = home.account;
  if (first === "_session") return tellSession(response, app);
  if (first === "") return welcome(response);
  if (first === "_uuids") return uuids(incoming);
  if (first !== app) return refuse(response, 403, "forbidden", "You are not allowed to access this db.");
  // At a second home the endpoint could, with that home's credentials.
  if (request.method === "DELETE" && path.length === 1)
    return refuse(response, 401, "unauthorized", "You are not a server admin.");
  if (leadsOut(path)) return refuse(response, 501, "not_implemented", `${path[3]} is not there`);
  await forward(incoming, home);
}

const isAnonymous = ({ headers }: IncomingMessage) =>
  headers.authorization === undefined && headers.cookie === undefined;

const Credentials = z.object({ name: z.string(), password: z.string() });

async function session({ request, response }: Incoming, entrance: Entrance): Promise<void> {
  if (request.method === "DELETE") return send(response, 200, { ok: true }, { "set-cookie": endedSession });
  const text = await readText(request);
  const given = text === null ? null : readCredentials(text, request.headers["content-type"] ?? "");
  if (request.method !== "POST" || !given)
    return refuse(response, 400, "bad_request", "name and password are missing");
  const found = entrance.home(given.name);
  if (!found || !isPasswordOf(found.account, given.password)) {
    return refuse(response, 401, "unauthorized", "Name or password is incorrect.");
  }
  const cookie = sessionCookie(given.name, sessionKey(found.account, entrance.cookieKey) ?? "");
  send(response, 200, { ok: true, name: given.name, roles: [] }, { "set-cookie": cookie });
}

async function readText(request: IncomingMessage): Promise<string | null> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > 10_000) return null;
  }
  return text;
}

function readCredentials(text: string, type: string): z.infer<typeof Credentials> | null {
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) {
    return Credentials.safeParse(Object.fromEntries(new URLSearchParams(text))).data ?? null;
  }
  try {
    return Credentials.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function tellSession(response: ServerResponse, name: string | null): void {
  const info = { authentication_handlers: ["cookie", "default"] };
  send(response, 200, { ok: true, userCtx: { name, roles: [] }, info });
}

const welcome = (response: ServerResponse) =>
  send(response, 200, { couchdb: "Welcome", version: "3.3.0", features: [], vendor: { name: "Maestro" } });

function uuids({ response, search }: Incoming): void {
  const count = Math.min(1000, Math.max(1, Number(new URLSearchParams(search).get("count") ?? 1) || 1));
  const ids = Array.from({ length: count }, () => crypto.randomUUID().replaceAll("-", ""));
  send(response, 200, { uuids: ids });
}

function send(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const json = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    "content-type": "application/json",
    "cache-control": "must-revalidate",
    "content-length": Buffer.byteLength(json),
    ...headers,
  });
  response.end(response.req.method === "HEAD" ? undefined : json);
}
