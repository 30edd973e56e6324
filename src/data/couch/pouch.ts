import leveldown, { type Store } from "leveldown";
import httpAdapter from "pouchdb-adapter-http";
import levelAdapter from "pouchdb-adapter-leveldb-core";
import PouchDB from "pouchdb-core";
import findPlugin from "pouchdb-find";
import replicationPlugin from "pouchdb-replication";
import { CouchError } from "./errors.ts";

/* PouchDB, put together from its parts: LevelDB below, with writes that are on the disk when they are acknowledged. */

/**
 * LevelDB whose writes are synced (fdatasync(2)) before they are called done: an acknowledged document survives a power
 * cut, as with CouchDB. The indexes of views are derived from documents, and are built again when something is missing.
 */
function syncedLevel(location: string): Store {
  const store = leveldown(location);
  if (location.includes("-mrview-")) return store;
  const { _put: put, _del: del, _batch: batch } = store;
  const synced = (options: object) => ({ ...options, sync: true });
  store._put = (key, value, options, done) => put.call(store, key, value, synced(options), done);
  store._del = (key, options, done) => del.call(store, key, synced(options), done);
  store._batch = (operations, options, done) => batch.call(store, operations, synced(options), done);
  return store;
}
syncedLevel.destroy = leveldown.destroy;

function LevelPouch(this: unknown, options: object, callback: unknown): void {
  levelAdapter.call(this, { ...options, db: syncedLevel }, callback);
}
LevelPouch.valid = () => true;
LevelPouch.use_prefix = false;

PouchDB.adapter("leveldb", LevelPouch, true);
PouchDB.plugin(httpAdapter).plugin(replicationPlugin).plugin(findPlugin);

/** Opens a database in a directory, or makes it. */
export function openPouch(path: string): PouchDB {
  return new PouchDB(path, { adapter: "leveldb", cacheSize: 4 * 1024 * 1024 });
}

/** A database of another server. `authorization` is sent with every request, and kept out of the URL. */
export function remotePouch(url: string, authorization: string | null): PouchDB {
  const fetchWith = async (address: string, options: RequestInit = {}) => {
    const headers = new Headers(options.headers);
    if (authorization !== null) headers.set("authorization", authorization);
    const response = await fetch(address, { ...options, headers });
    if (response.status === 413 && !isJson(response)) {
      await response.body?.cancel();
      throw new CouchError(413, "too_large", "the request is too large for what stands before the server");
    }
    // PouchDB takes attachments as buffers from a response that can give them, which only node-fetch's could.
    return Object.assign(response, { buffer: async () => Buffer.from(await response.arrayBuffer()) });
  };
  return new PouchDB(url, { adapter: "http", skip_setup: true, fetch: fetchWith });
}

/** PouchDB takes each answer for JSON, and an nginx answers in HTML what does not get as far as the server. */
const isJson = ({ headers }: Response) => /\bjson\b/i.test(headers.get("content-type") ?? "");

export { PouchDB };
