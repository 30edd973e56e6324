import { z } from "zod";
import type { Handler, Route } from "./context.ts";
import { type Database, Security } from "./database.ts";
import type { Databases } from "./databases.ts";
import { toCouchError } from "./errors.ts";

/* Databases as a whole: https://docs.couchdb.org/en/stable/api/database/common.html */

async function infoOf(database: Database): Promise<object> {
  const { doc_count, update_seq } = await database.pouch.info();
  const file = await database.fileBytes();
  return {
    db_name: database.name,
    doc_count,
    update_seq,
    purge_seq: 0,
    compact_running: false,
    instance_start_time: "0",
    disk_format_version: 8,
    sizes: { file, active: file, external: file },
    cluster: { q: 1, n: 1, w: 1, r: 1 },
    props: {},
    uuid: await database.pouch.id(),
  };
}

const info: Handler = async (exchange, { databases }, { db = "" }) =>
  exchange.send(200, await infoOf(await databases.get(db)));

const create: Handler = async (exchange, { databases }, { db = "" }) => {
  await databases.create(db);
  exchange.send(201, { ok: true }, { location: `/${encodeURIComponent(db)}` });
};

const remove: Handler = async (exchange, { databases, users }, { db = "" }) => {
  await databases.remove(db);
  users.forget();
  exchange.send(200, { ok: true });
};

const list: Handler = async (exchange, { databases }) => exchange.send(200, await databases.names());

const Keys = z.object({ keys: z.array(z.string()).max(100) });

const infos: Handler = async (exchange, { databases }) => {
  const { keys } = await exchange.json(Keys);
  exchange.send(200, await Promise.all(keys.map((key) => infoByName(databases, key))));
};

async function infoByName(databases: Databases, key: string): Promise<object> {
  try {
    return { key, info: await infoOf(await databases.get(key)) };
  } catch (error) {
    return { key, error: toCouchError(error).error };
  }
}

const getSecurity: Handler = async (exchange, { databases }, { db = "" }) =>
  exchange.send(200, (await databases.get(db)).security);

const putSecurity: Handler = async (exchange, { databases }, { db = "" }) => {
  const database = await databases.get(db);
  await database.setSecurity(await exchange.json(Security, 1_000_000));
  exchange.send(200, { ok: true });
};

/** All writes are on the disk when they are acknowledged: there is nothing left to commit. */
const ensureFullCommit: Handler = async (exchange, { databases }, { db = "" }) => {
  await databases.get(db);
  exchange.send(201, { ok: true, instance_start_time: "0" });
};

const compact: Handler = async (exchange, { databases, log }, { db = "" }) => {
  const { pouch } = await databases.get(db);
  pouch.compact().catch((error: Error) => log.error({ db, error: error.message }, "data.compaction-failed"));
  exchange.send(202, { ok: true });
};

const cleanUpViews: Handler = async (exchange, { databases }, { db = "" }) => {
  await (await databases.get(db)).cleanUpViews();
  exchange.send(202, { ok: true });
};

const revsLimit: Handler = async (exchange, { databases }, { db = "" }) => {
  await databases.get(db);
  exchange.send(200, 1000); // PouchDB's and CouchDB's default alike.
};

export const databaseRoutes: Route[] = [
  { method: "GET", path: "/_all_dbs", access: "server admin", handle: list },
  { method: "POST", path: "/_dbs_info", access: "server admin", handle: infos },
  { method: "GET", path: "/:db", access: "member", handle: info },
  { method: "HEAD", path: "/:db", access: "member", handle: info },
  { method: "PUT", path: "/:db", access: "server admin", handle: create },
  { method: "DELETE", path: "/:db", access: "server admin", handle: remove },
  { method: "GET", path: "/:db/_security", access: "member", handle: getSecurity },
  { method: "PUT", path: "/:db/_security", access: "database admin", handle: putSecurity },
  { method: "POST", path: "/:db/_ensure_full_commit", access: "member", handle: ensureFullCommit },
  { method: "POST", path: "/:db/_compact", access: "database admin", handle: compact },
  { method: "POST", path: "/:db/_view_cleanup", access: "database admin", handle: cleanUpViews },
  { method: "GET", path: "/:db/_revs_limit", access: "member", handle: revsLimit },
];
