import type { Access } from "./context.ts";
import type { Security } from "./database.ts";
import { CouchError, forbidden } from "./errors.ts";
import type { User } from "./exchange.ts";

export const isServerAdmin = ({ roles }: User) => roles.includes("_admin");

/** Throws 401 for somebody without a name, 403 for somebody who may not. `security`: the database's, if one is meant. */
export function admit(user: User | null, access: Access, security: Security | null): void {
  if (access === "anybody") return;
  if (user === null) throw new CouchError(401, "unauthorized", "You are not authorized to access this db.");
  if (access === "user" || isServerAdmin(user)) return;
  if (access === "server admin") throw new CouchError(401, "unauthorized", "You are not a server admin.");
  if (security === null) return;
  const { admins, members } = security;
  if (isOneOf(admins, user)) return;
  if (access === "database admin")
    throw new CouchError(401, "unauthorized", "You are not a db or server admin.");
  const isOpen = members.names.length === 0 && members.roles.length === 0;
  if (!isOpen && !isOneOf(members, user)) throw forbidden("You are not allowed to access this db.");
}

export function isDatabaseAdmin(user: User, { admins }: Security): boolean {
  return isServerAdmin(user) || isOneOf(admins, user);
}

const isOneOf = ({ names, roles }: Security["members"], user: User) =>
  names.includes(user.name) || user.roles.some((role) => roles.includes(role));
