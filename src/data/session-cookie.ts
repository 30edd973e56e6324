import { createHmac } from "node:crypto";
import { isSameSecret } from "../lib/same-secret.ts";

/** How long a session lasts, s: CouchDB's default. */
const lifetime = 600;

/** `Set-Cookie` for a session: base64url of `name:time in hex:signature`, in CouchDB's form. */
export function sessionCookie(name: string, key: string): string {
  const time = Math.floor(Date.now() / 1000)
    .toString(16)
    .toUpperCase();
  const value = Buffer.from(`${name}:${time}:${signature(name, time, key)}`).toString("base64url");
  return `AuthSession=${value}; Version=1; Path=/; HttpOnly; Max-Age=${lifetime}`;
}

export const endedSession = "AuthSession=; Version=1; Path=/; HttpOnly; Max-Age=0";

/** Whose session a `Cookie` header carries; null when it carries none that is valid. */
export function sessionName(
  header: string | undefined,
  keyOf: (name: string) => string | null,
): string | null {
  const value = /(?:^|;\s*)AuthSession=([A-Za-z0-9_-]+)/.exec(header ?? "")?.[1];
  if (value === undefined) return null;
  const [, name = "", time = "", signed = ""] =
    /^(.+):([0-9A-F]{1,10}):([0-9a-f]{64})$/s.exec(Buffer.from(value, "base64url").toString("utf8")) ?? [];
  const key = keyOf(name);
  if (key === null || Date.now() / 1000 - Number.parseInt(time, 16) > lifetime) return null;
  return isSameSecret(signed, signature(name, time, key)) ? name : null;
}

const signature = (name: string, time: string, key: string) =>
  createHmac("sha256", key).update(`${name}:${time}`).digest("hex");
