import { once } from "node:events";
import { expect } from "vitest";
import { type CouchClient, statusOf } from "../support/couch-clients.ts";

/** A row of the table: what holds, and how it is seen. The database is empty at its beginning. */
export type Row = { area: string; holds: string; run(db: CouchClient): Promise<void> };

const ids = (rows: readonly { id?: string | undefined }[]) => rows.map(({ id }) => id);
const byType = {
  _id: "_design/shop",
  views: {
    by_type: { map: "function (doc) { emit(doc.type, doc.price); }", reduce: "_sum" },
    stats: { map: "function (doc) { if (doc.price) emit(doc.type, doc.price); }", reduce: "_stats" },
    own: {
      map: "(doc) => emit([doc.type, doc._id], 1)",
      reduce: "function (k, values) { return sum(values); }",
    },
  },
  filters: { dear: "function (doc, req) { return doc.price >= Number(req.query.least); }" },
};
const goods = [
  { _id: "apple", type: "fruit", price: 3 },
  { _id: "beet", type: "root", price: 2 },
  { _id: "cherry", type: "fruit", price: 8 },
];

/** Changes that come to whoever follows, until one that is asked for. */
function watch(db: CouchClient, options: Record<string, unknown>) {
  const seen: string[] = [];
  const target = new EventTarget();
  const stop = db.follow(options, (id) => {
    seen.push(id);
    target.dispatchEvent(new Event("change"));
  });
  const until = async (id: string) => {
    while (!seen.includes(id)) await once(target, "change");
    return seen;
  };
  return { until, stop };
}

export const table: Row[] = [
  {
    area: "documents",
    holds: "are written, read, changed and removed, each revision following the one before",
    async run(db) {
      const first = await db.put({ _id: "a", n: 1 });
      expect(first).toMatch(/^1-/);
      const second = await db.put({ _id: "a", _rev: first, n: 2 });
      expect(second).toMatch(/^2-/);
      expect(await db.get("a")).toEqual({ _id: "a", _rev: second, n: 2 });
      await db.remove("a", second);
      expect(await statusOf(db.get("a"))).toBe(404);
    },
  },
  {
    area: "documents",
    holds: "a change of a revision that is not the last one is refused with 409",
    async run(db) {
      const first = await db.put({ _id: "a", n: 1 });
      await db.put({ _id: "a", _rev: first, n: 2 });
      expect(await statusOf(db.put({ _id: "a", _rev: first, n: 3 }))).toBe(409);
      expect(await statusOf(db.put({ _id: "a", n: 3 }))).toBe(409);
    },
  },
  {
    area: "documents",
    holds: "may have any id: slashes, spaces, Unicode, a plus, a percent sign",
    async run(db) {
      for (const _id of ["a/b", "a b", "grün/😀", "a+b", "100%", "a?b&c=d", "constructor"]) {
        const rev = await db.put({ _id, ok: true });
        expect(await db.get(_id)).toEqual({ _id, _rev: rev, ok: true });
      }
      expect((await db.info()).doc_count).toBe(7);
    },
  },
  {
    area: "documents",
    holds: "a field that begins with an underscore, and an id that does, are refused",
    async run(db) {
      expect(await statusOf(db.bulk([{ _id: "a", _nonsense: 1 }]))).toBe(400);
      expect(await statusOf(db.put({ _id: "_nonsense" }))).toBe(400);
    },
  },
  {
    area: "documents",
    holds: "tell their history and their conflicts when they are asked",
    async run(db) {
      const first = await db.put({ _id: "a", n: 1 });
      const second = await db.put({ _id: "a", _rev: first, n: 2 });
      await db.bulk([{ _id: "a", _rev: "2-ffffffffffffffffffffffffffffffff", n: 9 }], false);
      const read = await db.get("a", { revs: true, conflicts: true });
      expect(read._rev).toBe("2-ffffffffffffffffffffffffffffffff");
      expect(read["_conflicts"]).toEqual([second]);
      const older = await db.get("a", { rev: second, revs: true });
      expect(older["_revisions"]).toEqual({ start: 2, ids: [second.slice(2), first.slice(2)] });
    },
  },
  {
    area: "local documents",
    holds: "are kept, and are neither counted nor listed nor in the changes",
    async run(db) {
      const rev = await db.put({ _id: "_local/checkpoint", seq: 5 });
      expect(rev).toMatch(/^0-/);
      expect(await db.get("_local/checkpoint")).toMatchObject({ seq: 5 });
      await db.put({ _id: "_local/checkpoint", _rev: rev, seq: 6 });
      expect((await db.all()).rows).toEqual([]);
      expect((await db.changes()).results).toEqual([]);
    },
  },
  {
    area: "bulk",
    holds: "each document of a bulk has its own answer, in order",
    async run(db) {
      await db.put({ _id: "b", n: 1 });
      const results = await db.bulk([{ _id: "a" }, { _id: "b", n: 2 }, { _id: "c" }]);
      expect(ids(results)).toEqual(["a", "b", "c"]);
      expect(results.map(({ error }) => Boolean(error))).toEqual([false, true, false]);
    },
  },
  {
    area: "bulk",
    holds: "with new_edits=false revisions are kept as they came",
    async run(db) {
      const _revisions = { start: 3, ids: ["c", "b", "a"].map((letter) => letter.repeat(32)) };
      const doc = { _id: "a", _rev: `3-${"c".repeat(32)}`, _revisions, n: 3 };
      await db.bulk([doc], false);
      await db.bulk([doc], false);
      expect((await db.get("a", { revs: true }))["_revisions"]).toEqual(_revisions);
    },
  },
  {
    area: "_all_docs",
    holds: "lists by id, with ranges, keys, limits, either direction, and documents",
    async run(db) {
      await db.bulk(goods);
      expect(ids((await db.all()).rows)).toEqual(["apple", "beet", "cherry"]);
      expect(ids((await db.all({ startkey: "b", endkey: "c" })).rows)).toEqual(["beet"]);
      expect(ids((await db.all({ startkey: "apple", endkey: "beet", inclusive_end: false })).rows)).toEqual([
        "apple",
      ]);
      expect(ids((await db.all({ descending: true, limit: 2 })).rows)).toEqual(["cherry", "beet"]);
      expect(ids((await db.all({ skip: 1, limit: 1 })).rows)).toEqual(["beet"]);
      const { rows } = await db.all({ keys: ["beet", "none"], include_docs: true });
      expect(rows[0]?.doc).toMatchObject({ type: "root" });
      expect(rows[1]).toMatchObject({ key: "none", error: "not_found" });
    },
  },
  {
    area: "_changes",
    holds: "lists the last change of every document, since a sequence, with deletions",
    async run(db) {
      await db.bulk(goods);
      const before = (await db.changes()).last_seq;
      const { _rev = "" } = await db.get("apple");
      await db.remove("apple", _rev);
      const all = await db.changes();
      expect(ids(all.results).sort()).toEqual(["apple", "beet", "cherry"]);
      const { results } = await db.changes({ since: before });
      expect(ids(results)).toEqual(["apple"]);
      expect(results[0]?.deleted).toBe(true);
      expect((await db.changes({ since: all.last_seq })).results).toEqual([]);
      expect((await db.changes({ limit: 2 })).results).toHaveLength(2);
    },
  },
  {
    area: "_changes",
    holds: "shows documents when they are asked for",
    async run(db) {
      await db.bulk(goods);
      const { results } = await db.changes({ include_docs: true });
      expect(results.find(({ id }) => id === "beet")?.["doc"]).toMatchObject({ price: 2 });
    },
  },
  {
    area: "_changes",
    holds: "is filtered by ids, by a selector, and by a function of a design document",
    async run(db) {
      await db.bulk([...goods, byType]);
      expect(ids((await db.changes({ doc_ids: ["beet"] })).results)).toEqual(["beet"]);
      expect(ids((await db.changes({ selector: { price: { $gt: 5 } } })).results)).toEqual(["cherry"]);
      const dear = await db.changes({ filter: "shop/dear", least: 3, query_params: { least: 3 } });
      expect(ids(dear.results).sort()).toEqual(["apple", "cherry"]);
    },
  },
  {
    area: "_changes",
    holds: "brings what is written while somebody follows, from where he was",
    async run(db) {
      await db.put({ _id: "before" });
      const feed = watch(db, { since: "0" });
      await feed.until("before");
      await db.put({ _id: "during" });
      expect(await feed.until("during")).toEqual(["before", "during"]);
      feed.stop();
    },
  },
  {
    area: "_find",
    holds: "finds by a selector, with fields, sort and limit, with an index and without",
    async run(db) {
      await db.bulk(goods);
      expect(await db.find({ selector: { type: "fruit" }, fields: ["_id"] })).toEqual([
        { _id: "apple" },
        { _id: "cherry" },
      ]);
      await db.index(["price"], "by-price");
      const dearFirst = {
        selector: { price: { $gt: 0 } },
        sort: [{ price: "desc" }],
        limit: 2,
        fields: ["_id"],
      };
      expect(await db.find(dearFirst)).toEqual([{ _id: "cherry" }, { _id: "apple" }]);
      const either = { selector: { $or: [{ _id: "beet" }, { price: { $gte: 8 } }] }, fields: ["_id"] };
      expect(await db.find(either)).toEqual([{ _id: "beet" }, { _id: "cherry" }]);
    },
  },
  {
    area: "views",
    holds: "map and reduce, grouped, by key, with documents, and follow changes",
    async run(db) {
      await db.bulk([...goods, byType]);
      expect((await db.view("shop", "by_type")).rows).toEqual([{ key: null, value: 13 }]);
      expect((await db.view("shop", "by_type", { group: true })).rows).toEqual([
        { key: "fruit", value: 11 },
        { key: "root", value: 2 },
      ]);
      const fruit = await db.view("shop", "by_type", { reduce: false, key: "fruit", include_docs: true });
      expect(ids(fruit.rows)).toEqual(["apple", "cherry"]);
      expect(fruit.rows[0]?.doc).toMatchObject({ price: 3 });
      const { rows } = await db.view("shop", "own", { group_level: 1 });
      expect(rows).toEqual([
        { key: ["fruit"], value: 2 },
        { key: ["root"], value: 1 },
      ]);
      expect((await db.view("shop", "stats")).rows[0]?.value).toMatchObject({
        sum: 13,
        count: 3,
        min: 2,
        max: 8,
      });
      await db.put({ _id: "damson", type: "fruit", price: 1 });
      expect((await db.view("shop", "by_type", { key: "fruit" })).rows).toEqual([{ key: null, value: 12 }]);
      expect(ids((await db.view("shop", "by_type", { reduce: false, keys: ["root"] })).rows)).toEqual([
        "beet",
      ]);
      expect(await statusOf(db.view("shop", "none"))).toBe(404);
    },
  },
  {
    area: "attachments",
    holds: "come back byte by byte, stay over changes of the document, and are shown as stubs",
    async run(db) {
      const data = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256));
      const rev = await db.put({ _id: "a", n: 1 });
      const attached = await db.attach("a", "raw.bin", data, "application/octet-stream", rev);
      expect((await db.attachment("a", "raw.bin")).equals(data)).toBe(true);
      const doc = await db.get("a");
      expect(doc["_attachments"]).toMatchObject({ "raw.bin": { stub: true, length: 70_000 } });
      expect(doc._rev).toBe(attached);
      await db.put({ ...doc, n: 2 });
      expect((await db.attachment("a", "raw.bin")).equals(data)).toBe(true);
    },
  },
  {
    area: "attachments",
    holds: "may come inside a document and go out inside it",
    async run(db) {
      const data = Buffer.from("text of a file").toString("base64");
      await db.put({ _id: "a", _attachments: { "a.txt": { content_type: "text/plain", data } } });
      const read = await db.get("a", { attachments: true });
      expect(read["_attachments"]).toMatchObject({ "a.txt": { content_type: "text/plain", data } });
      expect((await db.attachment("a", "a.txt")).toString()).toBe("text of a file");
    },
  },
];
