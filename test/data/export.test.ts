import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportDatabase } from "../../sdk/data/export.ts";
import { importDatabase } from "../../sdk/data/import.ts";
import { TestDatabase } from "../support/data.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await TestDatabase.start();
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

let count = 0;
async function fresh(): Promise<string> {
  count += 1;
  await database.ask("PUT", `/db${count}`);
  return `db${count}`;
}

async function exported(name: string) {
  const lines: string[] = [];
  const done = await exportDatabase(`${database.url}/${name}`, async (line) => {
    lines.push(line);
  });
  return { lines, done };
}

async function* from(lines: readonly string[]): AsyncGenerator<string> {
  for (const line of lines) yield line.trimEnd();
}

/** Documents with attachments, conflicts, deletions and a view. */
async function filled(): Promise<string> {
  const name = await fresh();
  const docs = Array.from({ length: 450 }, (_, n) => ({ _id: `doc${n}`, n, text: "ü".repeat(n) }));
  await database.ask("POST", `/${name}/_bulk_docs`, { docs });
  const data = Buffer.from(Array.from({ length: 5000 }, (_, n) => n % 256)).toString("base64");
  await database.ask("PUT", `/${name}/file`, { _attachments: { "a.bin": { content_type: "x/y", data } } });
  await database.ask("POST", `/${name}/_bulk_docs`, {
    docs: [{ _id: "doc1", _rev: `1-${"f".repeat(32)}`, other: true }],
    new_edits: false,
  });
  const { _rev } = (await database.ask("GET", `/${name}/doc2`)).json();
  await database.ask("DELETE", `/${name}/doc2?rev=${_rev}`);
  await database.ask("PUT", `/${name}/_design/d`, {
    views: { all: { map: "function (doc) { emit(doc.n); }" } },
  });
  return name;
}

const stateOf = async (name: string) => {
  const { results } = (await database.ask("GET", `/${name}/_changes?style=all_docs`)).json();
  type Row = { id: string; deleted?: true; changes: { rev: string }[] };
  const rows = results.map(({ id, deleted, changes }: Row) => [
    id,
    deleted,
    changes.map(({ rev }) => rev).sort(),
  ]);
  return rows.sort(([a]: [string], [b]: [string]) => (a < b ? -1 : 1));
};

describe("an export", () => {
  it("holds everything: an import of it is the same database, with its conflicts, deletions and attachments", async () => {
    const name = await filled();
    const { lines, done } = await exported(name);
    expect(done).toMatchObject({ documents: 452, revisions: 453, attachments: 1 });
    const copy = await fresh();
    const imported = await importDatabase(`${database.url}/${copy}`, from(lines));
    expect(imported).toEqual({ ...done, verified: true });
    expect(await stateOf(copy)).toEqual(await stateOf(name));
    const file = await database.ask("GET", `/${copy}/file/a.bin`);
    expect(file.headers.get("content-md5")).toBe(
      createHash("md5")
        .update(Buffer.from(Array.from({ length: 5000 }, (_, n) => n % 256)))
        .digest("base64"),
    );
    expect((await database.ask("GET", `/${copy}/_design/d/_view/all?limit=1`)).json().total_rows).toBe(450);
  });

  it("is one JSON document a line, which any tool can write with _bulk_docs", async () => {
    const { lines } = await exported(await filled());
    const copy = await fresh();
    const docs = lines.map((line) => JSON.parse(line));
    expect((await database.ask("POST", `/${copy}/_bulk_docs`, { docs, new_edits: false })).status).toBe(201);
    expect((await database.ask("GET", `/${copy}`)).json().doc_count).toBe(451);
  });

  it("can be imported twice, and over what is there", async () => {
    const { lines } = await exported(await filled());
    const copy = await fresh();
    await database.ask("PUT", `/${copy}/mine`, { n: 1 });
    for (let time = 0; time < 2; time += 1) await importDatabase(`${database.url}/${copy}`, from(lines));
    expect((await database.ask("GET", `/${copy}`)).json().doc_count).toBe(452);
  });

  it("that was cut or changed is refused", async () => {
    const { lines } = await exported(await filled());
    const copy = `${database.url}/${await fresh()}`;
    const cut = lines.toSpliced(3, 1);
    await expect(importDatabase(copy, from(cut))).rejects.toMatchObject({ code: "BAD_INPUT" });
    const changed = lines.map((line) => line.replace('"n":7,', '"n":8,'));
    await expect(importDatabase(copy, from(changed))).rejects.toMatchObject({ code: "BAD_INPUT" });
    await expect(importDatabase(copy, from(["{"]))).rejects.toMatchObject({ code: "BAD_INPUT" });
    // Without its end it cannot be told from a file of another tool: it is imported, and not called verified.
    expect(await importDatabase(copy, from(lines.slice(0, -1)))).toMatchObject({ verified: false });
  });

  it("of couchbackup is read too", async () => {
    const copy = await fresh();
    const backup = [
      '{"name":"@cloudant/couchbackup","version":"2.11.0","mode":"full"}',
      `[{"_id":"a","_rev":"1-${"a".repeat(32)}","n":1},{"_id":"b","_rev":"1-${"b".repeat(32)}","n":2}]`,
    ];
    expect(await importDatabase(`${database.url}/${copy}`, from(backup))).toMatchObject({
      revisions: 2,
      verified: false,
    });
    expect((await database.ask("GET", `/${copy}/b`)).json().n).toBe(2);
  });
});
