import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import findMyWay, { type HTTPMethod } from "find-my-way";
import { admit } from "./access.ts";
import { attachmentRoutes } from "./attachments.ts";
import { bulkRoutes } from "./bulk.ts";
import { changesRoutes } from "./changes.ts";
import type { Context, Parameters, Route } from "./context.ts";
import { databaseRoutes } from "./database-routes.ts";
import { documentRoutes } from "./documents.ts";
import { badRequest, CouchError, isFault } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { findRoutes } from "./find.ts";
import { serverRoutes, unknownPath } from "./server-routes.ts";
import { usersDatabase } from "./users.ts";
import { viewRoutes } from "./views.ts";

const routes: Route[] = [
  ...serverRoutes,
  ...databaseRoutes,
  ...bulkRoutes,
  ...changesRoutes,
  ...findRoutes,
  ...viewRoutes,
  ...documentRoutes,
  ...attachmentRoutes,
];
const methods: HTTPMethod[] = ["GET", "HEAD", "POST", "PUT", "DELETE", "COPY"];

/** A server that speaks CouchDB's API over HTTP. It listens nowhere yet. */
export function createCouchServer(context: Context): Server {
  const router = findMyWay({ maxParamLength: 20_000, ignoreDuplicateSlashes: false });
  for (const route of routes) router.on(route.method as HTTPMethod, route.path, () => {}, route);
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (request, response) => {
    void answer(context, router, request, response);
  });
  server.maxConnections = 4096;
  server.keepAliveTimeout = 75_000;
  server.requestTimeout = 300_000;
  return server;
}

async function answer(
  context: Context,
  router: findMyWay.Instance<findMyWay.HTTPVersion.V1>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const exchange = new Exchange(request, response, context.limits);
  response.setHeader("server", "Maestro (CouchDB API)");
  try {
    const { route, parameters } = findRoute(router, exchange);
    await authorize(exchange, context, route, parameters);
    await route.handle(exchange, context, parameters);
  } catch (error) {
    if (isFault(error) && !exchange.isOver) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      context.log.error({ method: request.method, error: message, stack }, "data.fault");
    }
    exchange.fail(error);
  }
}

/** Throws 405 for a path that is known by other methods only. */
function findRoute(
  router: findMyWay.Instance<findMyWay.HTTPVersion.V1>,
  exchange: Exchange,
): { route: Route; parameters: Parameters } {
  const [path = "/"] = (exchange.request.url ?? "/").split("?");
  if (!isWellFormed(path)) throw badRequest("the path is not valid percent-encoding");
  // The ids of design documents and local ones hold a slash, which clients encode or not.
  const plain = path.replace(/^(\/[^/]+\/_(?:design|local))%2f/i, "$1/").replace(/(?<=.)\/$/, "");
  const find = (method: string) => router.find(method as HTTPMethod, plain);
  const found = find(exchange.method);
  if (found && isKnown(found.store, found.params)) return { route: found.store, parameters: found.params };
  const allowed = methods.filter((method) => {
    const other = find(method);
    return other && isKnown(other.store, other.params);
  });
  if (allowed.length > 0)
    throw new CouchError(405, "method_not_allowed", `Only ${allowed.join(",")} allowed`);
  return { route: { method: "", path: "", access: "user", handle: unknownPath }, parameters: {} };
}

/** A name of the server's own, as in /_stats or /db/_purge, is neither a database nor a document. */
function isKnown(_route: unknown, { db, id }: Readonly<Record<string, string | undefined>>): _route is Route {
  if (db?.startsWith("_") && db !== usersDatabase) return false;
  return !id?.startsWith("_");
}

function isWellFormed(path: string): boolean {
  try {
    return decodeURIComponent(path) !== "";
  } catch {
    return false;
  }
}

async function authorize(
  exchange: Exchange,
  { users, databases }: Context,
  { access }: Route,
  { db }: Parameters,
): Promise<void> {
  const user = await users.authenticate(exchange);
  if (user) exchange.user = user;
  // Who may not enter at all does not learn which databases there are.
  admit(user, access === "anybody" ? "anybody" : "user", null);
  if (db === undefined) return admit(user, access, null);
  if (db === usersDatabase) return admit(user, "server admin", null);
  if (access === "server admin") return admit(user, access, null);
  admit(user, access, (await databases.get(db)).security);
}
