import type { Account } from "../accounts.ts";
import { type Backend, basic } from "./backend.ts";

/**
 * Makes an app's user and database on a server, unless they are there: https://docs.couchdb.org/en/stable/intro/security.html.
 * The user may do in its database what it likes, design documents included, and nothing outside it.
 */
export async function provision(server: Backend, { app, password }: Account): Promise<void> {
  const path = `/${encodeURIComponent(app)}`;
  const entered = await server.ask("GET", path, { authorization: basic(app, password) });
  if (entered.status === 200) return;
  await ensureUsers(server);
  const userPath = `/_users/org.couchdb.user:${encodeURIComponent(app)}`;
  const before = await server.ask("GET", userPath);
  const revision = before.status === 200 ? revOf(before.json) : {};
  const user = { name: app, password, type: "user", roles: [], ...revision };
  await server.must("PUT", userPath, { body: user });
  await server.must("PUT", path, { allow: [412] });
  const names = { names: [app], roles: [] };
  await server.must("PUT", `${path}/_security`, { body: { admins: names, members: names } });
}

/** A CouchDB that was set up by hand may not have it yet. */
async function ensureUsers(server: Backend): Promise<void> {
  const { status } = await server.ask("GET", "/_users");
  if (status === 404) await server.must("PUT", "/_users", { allow: [412] });
}

function revOf(document: unknown): { _rev?: string } {
  if (typeof document !== "object" || document === null || !("_rev" in document)) return {};
  return typeof document._rev === "string" ? { _rev: document._rev } : {};
}
