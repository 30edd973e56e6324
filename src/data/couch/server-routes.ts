import { z } from "zod";
import { ownVersion } from "../../lib/own-version.ts";
import { endedSession } from "../session-cookie.ts";
import type { Handler, Route } from "./context.ts";
import { CouchError, notFound } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { PouchDB } from "./pouch.ts";
import { ReplicationRequest } from "./replications.ts";
import { newId } from "./writes.ts";

/* The server itself: https://docs.couchdb.org/en/stable/api/server/index.html */

/** The version of CouchDB whose API this is, which clients look at. */
const apiVersion = "3.3.0";

const welcome: Handler = async (exchange, { uuid }) =>
  exchange.send(200, {
    couchdb: "Welcome",
    version: apiVersion,
    uuid,
    features: [],
    vendor: { name: "Maestro", version: ownVersion },
  });

/** `trouble` is not CouchDB's: what somebody should know though it answers. */
const up: Handler = async (exchange, { databases }) => {
  const stuck = await databases.stuck();
  const trouble =
    stuck.length === 0 ? {} : { trouble: `the disk is full: ${stuck.join(", ")} cannot be written` };
  exchange.send(200, { status: "ok", ...trouble });
};

const uuids: Handler = async (exchange) => {
  const count = exchange.parameter("count", z.int().min(0).max(1000)) ?? 1;
  exchange.send(200, { uuids: Array.from({ length: count }, newId) }, { "cache-control": "no-cache" });
};

const activeTasks: Handler = async (exchange, { replications }) => {
  // PouchDB counts its replications among its tasks too, under names that hold both places.
  const indexing = PouchDB.activeTasks.list().filter(({ name }) => name === "view_indexing");
  const indexers = indexing.map(({ id, total_items = 0, completed_items = 0 }) => ({
    type: "indexer",
    pid: id,
    total_changes: total_items,
    changes_done: completed_items,
  }));
  exchange.send(200, [...indexers, ...replications.tasks()]);
};

const replicate: Handler = async (exchange, { replications }) => {
  const request = await exchange.json(ReplicationRequest, 1_000_000);
  const report = await replications.request(request, exchange.gone);
  exchange.send(request.continuous && !request.cancel ? 202 : 200, report);
};

const schedulerJobs: Handler = async (exchange, { replications }) => {
  const jobs = replications.jobs();
  exchange.send(200, { total_rows: jobs.length, offset: 0, jobs });
};

const Credentials = z.object({ name: z.string(), password: z.string() });

/** As a form or as JSON: both are common. */
async function readCredentials(exchange: Exchange): Promise<z.infer<typeof Credentials>> {
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(exchange.header("content-type") ?? "");
  if (!isForm) return exchange.json(Credentials, 10_000);
  const form = new URLSearchParams((await exchange.body(10_000)).toString("utf8"));
  return { name: form.get("name") ?? "", password: form.get("password") ?? "" };
}

const openSession: Handler = async (exchange, { users }) => {
  const { name, password } = await readCredentials(exchange);
  const user = await users.check(name, password);
  exchange.send(
    200,
    { ok: true, name: user.name, roles: user.roles },
    { "set-cookie": await users.cookieFor(user) },
  );
};

const getSession: Handler = async (exchange) => {
  const { name, roles } = exchange.user;
  const authenticated = exchange.header("cookie")?.includes("AuthSession=") ? "cookie" : "default";
  exchange.send(200, {
    ok: true,
    userCtx: { name: name === "" ? null : name, roles },
    info: {
      authentication_handlers: ["cookie", "default"],
      ...(name === "" ? {} : { authenticated }),
    },
  });
};

const closeSession: Handler = async (exchange) =>
  exchange.send(200, { ok: true }, { "set-cookie": endedSession });

/** What CouchDB has under these names, and this server has not. */
const absent: Handler = async (exchange) => {
  const [path = ""] = (exchange.request.url ?? "").split("?");
  throw new CouchError(501, "not_implemented", `${path.slice(0, 200)} is not there in the embedded database`);
};

export const unknownPath: Handler = async (exchange, context, parameters) => {
  const [path = ""] = (exchange.request.url ?? "").split("?");
  // Below a database, or at the server, what begins with an underscore is CouchDB's own.
  if (/^\/(?:[^/]*\/)?_/.test(path)) return absent(exchange, context, parameters);
  throw notFound();
};

export const serverRoutes: Route[] = [
  { method: "GET", path: "/", access: "anybody", handle: welcome },
  { method: "HEAD", path: "/", access: "anybody", handle: welcome },
  { method: "GET", path: "/_up", access: "anybody", handle: up },
  { method: "HEAD", path: "/_up", access: "anybody", handle: up },
  { method: "GET", path: "/_uuids", access: "user", handle: uuids },
  { method: "GET", path: "/_active_tasks", access: "server admin", handle: activeTasks },
  { method: "POST", path: "/_replicate", access: "server admin", handle: replicate },
  { method: "GET", path: "/_scheduler/jobs", access: "server admin", handle: schedulerJobs },
  { method: "POST", path: "/_session", access: "anybody", handle: openSession },
  { method: "GET", path: "/_session", access: "anybody", handle: getSession },
  { method: "DELETE", path: "/_session", access: "anybody", handle: closeSession },
];
