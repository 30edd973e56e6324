import { pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Document } from "pouchdb-core";
import { z } from "zod";
import { isSameSecret } from "../../lib/same-secret.ts";
import { sessionCookie, sessionName } from "../session-cookie.ts";
import type { Database } from "./database.ts";
import type { Databases } from "./databases.ts";
import { badRequest, CouchError, toCouchError } from "./errors.ts";
import type { Exchange, User } from "./exchange.ts";

const derive = promisify(pbkdf2);
export const usersDatabase = "_users";
const idPrefix = "org.couchdb.user:";

/** A user as CouchDB keeps it: https://docs.couchdb.org/en/stable/intro/security.html#authentication-database */
const UserDocument = z.looseObject({
  name: z.string().min(1),
  roles: z.array(z.string()).default([]),
  password_scheme: z.literal("pbkdf2"),
  pbkdf2_prf: z.enum(["sha", "sha256", "sha512"]).default("sha"),
  iterations: z.int().min(1).max(10_000_000),
  derived_key: z.string(),
  salt: z.string(),
});
type UserDocument = z.infer<typeof UserDocument>;

export type Admin = { name: string; password: string };
/** The passwords of apps are 32 random bytes, which nobody can guess, whatever a guess costs. */
const iterations = 1000;

/** Who may enter: the server's administrator, and those in the database `_users`. */
export class Users {
  readonly #databases: Databases;
  readonly #admin: Admin;
  readonly #secret: string;
  /** Users that were read, by name, until something changes. */
  readonly #read = new Map<string, Promise<UserDocument | null>>();
  /** What was found right, by name: the password, and the key with which it was found so. */
  readonly #verified = new Map<string, { password: string; key: string }>();

  constructor(databases: Databases, admin: Admin, secret: string) {
    this.#databases = databases;
    this.#admin = admin;
    this.#secret = secret;
  }

  /** By Basic authentication or by cookie; null when no credentials came. Throws 401 when they are wrong. */
  async authenticate(exchange: Exchange): Promise<User | null> {
    const basic = /^Basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(exchange.header("authorization") ?? "")?.[1];
    if (basic !== undefined) {
      const text = Buffer.from(basic, "base64").toString("utf8");
      const colon = text.indexOf(":");
      return this.check(text.slice(0, Math.max(0, colon)), text.slice(colon + 1));
    }
    return this.#byCookie(exchange.header("cookie"));
  }

  async #byCookie(header: string | undefined): Promise<User | null> {
    const name = sessionName(header, (user) => this.#cookieKey(user));
    if (name === null) return null;
    if (name === this.#admin.name) return { name, roles: ["_admin"] };
    const user = await this.#find(name);
    return user ? { name, roles: user.roles } : null;
  }

  /** A cookie that says who somebody is, for ten minutes. */
  async cookieFor({ name }: User): Promise<string> {
    await this.#find(name);
    return sessionCookie(name, this.#cookieKey(name));
  }

  /** A session ends when its user's password changes or its user goes. */
  #cookieKey(name: string): string {
    return `${this.#secret}:${name === this.#admin.name ? this.#admin.password : ""}`;
  }

  /** Throws 401. */
  async check(name: string, password: string): Promise<User> {
    if (isSameSecret(name, this.#admin.name) && isSameSecret(password, this.#admin.password))
      return { name, roles: ["_admin"] };
    const user = await this.#find(name);
    if (user && (await this.#isRight(user, password))) return { name, roles: user.roles };
    throw new CouchError(401, "unauthorized", "Name or password is incorrect.");
  }

  async #isRight(user: UserDocument, password: string): Promise<boolean> {
    const verified = this.#verified.get(user.name);
    if (verified?.key === user.derived_key && isSameSecret(password, verified.password)) return true;
    const prf = user.pbkdf2_prf === "sha" ? "sha1" : user.pbkdf2_prf;
    const key = Buffer.from(user.derived_key, "hex");
    const derived = await derive(password, user.salt, user.iterations, key.length, prf);
    if (!timingSafeEqual(derived, key)) return false;
    this.#verified.set(user.name, { password, key: user.derived_key });
    return true;
  }

  #find(name: string): Promise<UserDocument | null> {
    const known = this.#read.get(name);
    if (known) return known;
    const reading = this.#readUser(name);
    if (this.#read.size > 10_000) this.#read.clear(); // Somebody tries names.
    this.#read.set(name, reading);
    reading.catch(() => this.#read.delete(name));
    return reading;
  }

  async #readUser(name: string): Promise<UserDocument | null> {
    try {
      const database = await this.#databases.get(usersDatabase);
      return UserDocument.safeParse(await database.pouch.get(`${idPrefix}${name}`)).data ?? null;
    } catch (error) {
      if (toCouchError(error).status === 404) return null;
      throw error;
    }
  }

  /** To be called behind every write to `_users`. */
  forget(): void {
    this.#read.clear();
    this.#verified.clear();
  }
}

/** A user as it is written: with its password's key in the place of the password. */
export async function withDerivedKey(database: Database, document: Document): Promise<Document> {
  if (database.name !== usersDatabase || document._deleted || !document._id.startsWith(idPrefix))
    return document;
  const { password, ...rest } = document;
  if (rest["name"] !== document._id.slice(idPrefix.length))
    throw badRequest("name must be the end of the _id");
  if (password === undefined) return document;
  if (typeof password !== "string" || password === "") throw badRequest("password must be a string");
  const salt = randomBytes(16).toString("hex");
  const key = await derive(password, salt, iterations, 32, "sha256");
  const scheme = { password_scheme: "pbkdf2", pbkdf2_prf: "sha256", iterations, salt };
  return { ...rest, _id: document._id, ...scheme, derived_key: key.toString("hex") };
}
