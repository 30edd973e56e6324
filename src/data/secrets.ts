import { randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../errors.ts";
import { writeAtomic } from "../lib/atomic-file.ts";

/** What only Maestro's own processes know: <home>/state/data/secrets.json, mode 0600. */
const ServerSecrets = z.object({
  v: z.literal(1),
  /** The administrator of the embedded database. */
  admin: z.object({ name: z.string(), password: z.string() }),
  /** With which sessions are signed. */
  cookieKey: z.string(),
  uuid: z.string(),
  /** The CouchDB that an operator points to, with its credentials; null: the embedded database. */
  couch: z.string().nullable().default(null),
});
export type ServerSecrets = z.infer<typeof ServerSecrets>;

export const newPassword = () => randomBytes(32).toString("base64url");

export async function readServerSecrets(path: string): Promise<ServerSecrets> {
  return ServerSecrets.parse(JSON.parse(await readFile(path, "utf8")));
}

/** Reads the secrets; makes them when there are none. */
export async function ensureServerSecrets(path: string, couch: string | null = null): Promise<ServerSecrets> {
  try {
    const known = await readServerSecrets(path);
    return known.couch === couch ? known : await save(path, { ...known, couch });
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
  return save(path, {
    v: 1,
    admin: { name: "maestro", password: newPassword() },
    cookieKey: newPassword(),
    uuid: randomUUID().replaceAll("-", ""),
    couch,
  });
}

async function save(path: string, secrets: ServerSecrets): Promise<ServerSecrets> {
  await writeAtomic(path, JSON.stringify(secrets));
  return secrets;
}
