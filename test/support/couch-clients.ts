import nano from "nano";
import { z } from "zod";
import { type PouchDB, remotePouch } from "../../src/data/couch/pouch.ts";

const Doc = z.looseObject({ _id: z.string(), _rev: z.string().optional() });
type Doc = z.infer<typeof Doc>;
/** nano's own type of a query, which what the table asks fits. */
const Query = z.custom<nano.MangoQuery>(
  (query) => z.object({ selector: z.looseObject({}) }).safeParse(query).success,
);
type Fields = Record<string, unknown>;
const Written = z.looseObject({
  id: z.string().optional(),
  rev: z.string().optional(),
  error: z.unknown().optional(),
});
const Rows = z.looseObject({
  total_rows: z.number().optional(),
  rows: z.array(
    z.looseObject({
      id: z.string().optional(),
      key: z.unknown().optional(),
      value: z.unknown().optional(),
      doc: z.unknown().optional(),
    }),
  ),
});
const Changes = z.object({
  last_seq: z.unknown().optional(),
  results: z.array(
    z.looseObject({ id: z.string(), seq: z.unknown().optional(), deleted: z.boolean().optional() }),
  ),
});

/** What a row of the conformance table does with a database: the same, whichever client does it. */
export type CouchClient = {
  put(doc: Fields): Promise<string>;
  get(id: string, options?: Fields): Promise<Doc>;
  remove(id: string, rev: string): Promise<void>;
  bulk(docs: Fields[], newEdits?: boolean): Promise<z.infer<typeof Written>[]>;
  all(options?: Fields): Promise<z.infer<typeof Rows>>;
  changes(options?: Fields): Promise<z.infer<typeof Changes>>;
  /** The ids of changes as they come. */
  follow(options: Fields, onId: (id: string) => void): () => void;
  find(query: Fields): Promise<Fields[]>;
  index(fields: string[], name: string): Promise<void>;
  view(design: string, name: string, options?: Fields): Promise<z.infer<typeof Rows>>;
  attach(id: string, name: string, data: Buffer, type: string, rev?: string): Promise<string>;
  attachment(id: string, name: string): Promise<Buffer>;
  info(): Promise<{ doc_count: number }>;
};

/** The status with which something fails; 0 when it does not. */
export async function statusOf(work: Promise<unknown>): Promise<number> {
  try {
    await work;
    return 0;
  } catch (error) {
    const { statusCode, status } = z
      .looseObject({ statusCode: z.number().optional(), status: z.number().optional() })
      .parse(error);
    return statusCode ?? status ?? Number.NaN;
  }
}

export function nanoClient(server: string, name: string): CouchClient {
  const db = nano({ url: server }).use<Fields>(name);
  return {
    put: async (doc) => (await db.insert(doc)).rev,
    get: async (id, options = {}) => Doc.parse(await db.get(id, options)),
    remove: async (id, rev) => void (await db.destroy(id, rev)),
    bulk: async (docs, new_edits = true) => z.array(Written).parse(await db.bulk({ docs, new_edits })),
    all: async (options = {}) => {
      const { keys, ...rest } = options;
      return Rows.parse(Array.isArray(keys) ? await db.fetch({ keys }, rest) : await db.list(rest));
    },
    changes: async ({ doc_ids, selector, ...options } = {}) => {
      if (doc_ids === undefined && selector === undefined) return Changes.parse(await db.changes(options));
      const filter = doc_ids === undefined ? "_selector" : "_doc_ids";
      const request = { db: name, path: "_changes", method: "POST" as const, qs: { ...options, filter } };
      return Changes.parse(await nano({ url: server }).request({ ...request, body: { doc_ids, selector } }));
    },
    // nano's own `changesReader` leaves a rejection that nobody can catch when its database goes.
    follow: ({ since }, onId) => {
      let stopped = false;
      const poll = async (from: unknown): Promise<void> => {
        const page = Changes.parse(
          await db.changes({ feed: "longpoll", since: String(from), timeout: 2000 }),
        );
        for (const { id } of page.results) onId(id);
        if (!stopped) await poll(page.last_seq);
      };
      poll(since).catch(() => {}); // The database is gone.
      return () => {
        stopped = true;
      };
    },
    find: async (query) => (await db.find(Query.parse(query))).docs,
    index: async (fields, index) => void (await db.createIndex({ index: { fields }, name: index })),
    view: async (design, view, options = {}) => Rows.parse(await db.view(design, view, options)),
    attach: async (id, file, data, type, rev) =>
      (await db.attachment.insert(id, file, data, type, rev === undefined ? {} : { rev })).rev,
    attachment: async (id, file) => Buffer.from(await db.attachment.get(id, file)),
    info: async () => db.info(),
  };
}

export function pouchClient(server: string, name: string): CouchClient {
  const url = new URL(name, `${server}/`);
  const { username, password } = url;
  url.username = "";
  url.password = "";
  const db = remotePouch(url.href, `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`);
  const rev = (result: unknown) => z.object({ rev: z.string() }).parse(result).rev;
  return {
    put: async (doc) => rev(await db.put(Doc.parse(doc))),
    get: async (id, options = {}) => Doc.parse(await db.get(id, options)),
    remove: async (id, revision) => void (await db.remove(id, revision)),
    bulk: async (docs, new_edits = true) =>
      z.array(Written).parse(await db.bulkDocs({ docs: z.array(Doc).parse(docs) }, { new_edits })),
    all: async (options = {}) => Rows.parse(await db.allDocs(options)),
    changes: async (options = {}) => Changes.parse(await db.changes(options)),
    follow: (options, onId) => {
      const feed = db.changes({ ...options, live: true, return_docs: false });
      const { on, cancel } = Feed.parse(feed);
      on.call(feed, "change", (change: unknown) => onId(z.looseObject({ id: z.string() }).parse(change).id));
      return () => cancel.call(feed);
    },
    find: async (query) => z.array(z.looseObject({})).parse((await db.find(query)).docs),
    index: async (fields, index) => void (await db.createIndex({ index: { fields, name: index } })),
    view: async (design, view, options = {}) =>
      Rows.parse(await queryRemote(db, `${design}/${view}`, options)),
    attach: async (id, file, data, type, revision) => {
      const before = revision === undefined ? {} : { _rev: revision };
      const _attachments = { [file]: { content_type: type, data: data.toString("base64") } };
      return rev(await db.put({ _id: id, ...before, _attachments }));
    },
    attachment: (id, file) => db.getAttachment(id, file),
    info: async () => db.info(),
  };
}

const callable = z.custom<(this: unknown, ...all: unknown[]) => void>((value) => typeof value === "function");
const Feed = z.looseObject({ on: callable, cancel: callable });

/** As PouchDB's own plugin for views does it with a remote database. */
async function queryRemote(db: PouchDB, view: string, options: Fields): Promise<unknown> {
  const { default: createMapReduce } = await import("pouchdb-abstract-mapreduce");
  const unused = () => () => {};
  return createMapReduce("unused", unused, unused, () => {}).query.call(db, view, options);
}
