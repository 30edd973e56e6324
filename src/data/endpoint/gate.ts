import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { z } from "zod";
import { type Account, isPasswordOf } from "../accounts.ts";
import { endedSession, sessionCookie, sessionName } from "../session-cookie.ts";
import { forward, type Incoming, refuse } from "./forward.ts";
import type { Home } from "./home.ts";

/** What the gate needs to know. */
export type Entrance = {
  home(app: string): Home | undefined;
  /** The home of the app whose Basic authentication this is, letter by letter. */
  entering(authorization: string): Home | undefined;
  cookieKey: string;
};

/** Functions of design documents through which a CouchDB would lead out of the database. */
const leadingOut = new Set(["_rewrite", "_show", "_list", "_update"]);

/** The door of all apps to their databases: who is it, is it his database, and then on to where that is served from. */
export function createGate(entrance: Entrance): Server {
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (request, response) => {
    enter(request, response, entrance).catch(() => response.destroy()); // The app has gone while it was sending.
  });
  server.maxConnections = 8192;
  server.keepAliveTimeout = 75_000;
  server.requestTimeout = 300_000;
  return server;
}

async function enter(request: IncomingMessage, response: ServerResponse, entrance: Entrance): Promise<void> {
  const incoming = read(request, response);
  if (!incoming) return refuse(response, 400, "bad_request", "the path is not one of CouchDB's");
  const { path } = incoming;
  const [first = ""] = path;
  if (first === "_up") return send(response, 200, { status: "ok" });
  if (first === "_session" && request.method !== "GET") return session(incoming, entrance);
  const home = authenticate(request, entrance);
  if (!home) {
    if (first === "_session" && isAnonymous(request)) return tellSession(response, null);
    return refuse(response, 401, "unauthorized", "Name or password is incorrect.");
  }
  const { app } = home.account;
  if (first === "_session") return tellSession(response, app);
  if (first === "") return welcome(response);
  if (first === "_uuids") return uuids(incoming);
  if (first !== app) return refuse(response, 403, "forbidden", "You are not allowed to access this db.");
  if (leadingOut.has(path[3] ?? ""))
    return refuse(response, 501, "not_implemented", `${path[3]} is not there`);
  await forward(incoming, home);
}

/** Null for what could mean one thing here and another at the server behind. */
function read(request: IncomingMessage, response: ServerResponse): Incoming | null {
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  const whole = mark < 0 ? url : url.slice(0, mark);
  if (!whole.startsWith("/")) return null;
  try {
    // The ids of design documents hold a slash, which clients encode or not.
    const path = whole
      .replace(/^(\/[^/]+\/_(?:design|local))%2f/i, "$1/")
      .split("/")
      .slice(1)
      .map(decodeURIComponent);
    if (path.some((part) => part === "." || part === "..")) return null;
    if (path.at(-1) === "") path.pop();
    return { request, response, path, search: mark < 0 ? "" : url.slice(mark) };
  } catch {
    return null;
  }
}

const isAnonymous = ({ headers }: IncomingMessage) =>
  headers.authorization === undefined && headers.cookie === undefined;

/** Settled anew for every request. */
function authenticate({ headers }: IncomingMessage, { home, entering, cookieKey }: Entrance): Home | null {
  const known = headers.authorization === undefined ? undefined : entering(headers.authorization);
  if (known) return known;
  const basic = /^Basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(headers.authorization ?? "")?.[1];
  if (basic !== undefined) {
    const text = Buffer.from(basic, "base64").toString("utf8");
    const colon = text.indexOf(":");
    const found = home(text.slice(0, Math.max(0, colon)));
    return found && isPasswordOf(found.account, text.slice(colon + 1)) ? found : null;
  }
  const name = sessionName(headers.cookie, (app) => keyOf(home(app)?.account, cookieKey));
  return name === null ? null : (home(name) ?? null);
}

/** A session ends when the app's password changes. */
const keyOf = (account: Account | undefined, cookieKey: string) =>
  account ? `${cookieKey}:${account.password}` : null;

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
  const cookie = sessionCookie(given.name, keyOf(found.account, entrance.cookieKey) ?? "");
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
