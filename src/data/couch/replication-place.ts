import { z } from "zod";
import { CouchError } from "./errors.ts";

/** A database of this server by its name, or of another by its URL, as CouchDB takes them. */
export const Place = z.union([
  z.string().min(1),
  z.object({
    url: z.string().min(1),
    headers: z.record(z.string(), z.string()).optional(),
    auth: z.object({ basic: z.object({ username: z.string(), password: z.string() }) }).optional(),
  }),
]);

export type Place = z.infer<typeof Place>;

/** A place without what may be secret in it. */
export function shown(place: Place): string {
  const url = typeof place === "string" ? place : place.url;
  return /^https?:\/\//.test(url) ? withoutCredentials(url).href : url;
}

function withoutCredentials(text: string): { href: string; authorization: string | null } {
  const url = URL.parse(text);
  if (!url) throw new CouchError(400, "bad_request", "a replication's URL is not one");
  const { username, password } = url;
  url.username = "";
  url.password = "";
  if (username === "") return { href: url.href, authorization: null };
  return {
    href: url.href,
    authorization: basicOf(decodeURIComponent(username), decodeURIComponent(password)),
  };
}

const basicOf = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

/** Where a remote database is, and the header with which it is entered; null when the place is one of this server's. */
export function remoteOf(place: Place): { href: string; authorization: string | null } | null {
  const url = typeof place === "string" ? place : place.url;
  if (!/^https?:\/\//.test(url)) return null;
  const { href, authorization } = withoutCredentials(url);
  const given = typeof place === "string" ? null : place;
  const basic = given?.auth?.basic;
  if (basic) return { href, authorization: basicOf(basic.username, basic.password) };
  return { href, authorization: given?.headers?.["authorization"] ?? authorization };
}
