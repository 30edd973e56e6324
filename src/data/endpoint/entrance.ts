import { type Account, isPasswordOf } from "../accounts.ts";
import { sessionName } from "../session-cookie.ts";
import type { Home } from "./home.ts";
import type { Side } from "./sequences.ts";

/** What has to be known of whoever enters. */
export type Entrance = {
  home(app: string): Home | undefined;
  /** The home of the app whose Basic authentication this is, letter by letter. */
  entering(authorization: string): Home | undefined;
  cookieKey: string;
};

/** Of a request's head. */
export type Credentials = { authorization?: string | undefined; cookie?: string | undefined };

/** Who is asking, settled anew for every request. Null: nobody that is known. */
export function authenticate({ authorization, cookie }: Credentials, entrance: Entrance): Home | null {
  const { home, entering, cookieKey } = entrance;
  const known = authorization === undefined ? undefined : entering(authorization);
  if (known) return known;
  const basic = /^Basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(authorization ?? "")?.[1];
  if (basic !== undefined) {
    const text = Buffer.from(basic, "base64").toString("utf8");
    const colon = text.indexOf(":");
    const found = home(text.slice(0, Math.max(0, colon)));
    return found && isPasswordOf(found.account, text.slice(colon + 1)) ? found : null;
  }
  const name = sessionName(cookie, (app) => sessionKey(home(app)?.account, cookieKey));
  return name === null ? null : (home(name) ?? null);
}

/** A session ends when the app's password changes. */
export const sessionKey = (account: Account | undefined, cookieKey: string) =>
  account ? `${cookieKey}:${account.password}` : null;

/** What is asked for: the parts of the path, decoded, and the query as it came, with its question mark. */
export type Target = { path: string[]; search: string };

/** Null for what could mean one thing here and another at the server behind. */
export function readTarget(url: string): Target | null {
  const mark = url.indexOf("?");
  const whole = mark < 0 ? url : url.slice(0, mark);
  if (!whole.startsWith("/")) return null;
  const path = partsOf(whole);
  if (path === null || path.includes(".") || path.includes("..")) return null;
  if (path.at(-1) === "") path.pop();
  if (path.includes("")) return null; // A CouchDB passes over it.
  return { path, search: mark < 0 ? "" : url.slice(mark) };
}

/** A document's path in which nothing has to be decoded: most are. */
const plainDocument = /^\/([^/%.]+)\/([^/%._][^/%]*)$/;

function partsOf(path: string): string[] | null {
  const [, database, id] = plainDocument.exec(path) ?? [];
  if (database !== undefined && id !== undefined) return [database, id];
  // The ids of design documents hold a slash, which clients encode or not.
  const plain = path.replace(/^(\/[^/]+\/_(?:design|local))%2f/i, "$1/");
  try {
    return plain.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return null;
  }
}

/** A path, as it came, at one of the homes: at the remote the database may have another name. */
export const pathAt = (side: Side, path: string) => (side === "local" ? path : path.replace(/^\/[^/]*/, ""));

/** Functions of design documents through which a CouchDB would lead out of the database. */
const leadingOut = new Set(["_rewrite", "_show", "_list", "_update"]);

export const leadsOut = (path: readonly string[]) => leadingOut.has(path[3] ?? "");
