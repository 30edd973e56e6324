import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nanoClient, pouchClient } from "../support/couch-clients.ts";
import { basic, TestDatabase } from "../support/data.ts";
import { table } from "./conformance.ts";

const clients = [
  ["nano", nanoClient],
  ["pouchdb", pouchClient],
] as const;

/** Makes a database, and removes it when it is disposed of. */
async function fresh(server: string): Promise<{ name: string } & AsyncDisposable> {
  const url = new URL(server);
  const headers = { authorization: basic(url.username, decodeURIComponent(url.password)) };
  const name = `maestro-${randomUUID()}`;
  const address = `${url.protocol}//${url.host}/${name}`;
  expect((await fetch(address, { method: "PUT", headers })).status).toBe(201);
  return {
    name,
    [Symbol.asyncDispose]: async () => {
      await fetch(address, { method: "DELETE", headers });
    },
  };
}

describe("the embedded database", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await TestDatabase.start();
  });
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
  });

  describe.each(clients)("asked by %s", (_, client) => {
    it.each(table)("$area: $holds", async ({ run }) => {
      await using made = await fresh(database.url);
      await run(client(database.url, made.name));
    });
  });
});

/** http://admin:password@127.0.0.1:5984 of a CouchDB 3 that may be written to. */
const couchUrl = process.env["COUCH_URL"] ?? "";
const reason = "no COUCH_URL names a CouchDB 3 to compare with";

describe("a real CouchDB", () => {
  describe.each(clients)("asked by %s", (_, client) => {
    for (const { area, holds, run } of table) {
      it(`${area}: ${holds}`, async ({ skip }) => {
        skip(couchUrl === "", reason);
        await using made = await fresh(couchUrl);
        await run(client(couchUrl, made.name));
      });
    }
  });
});
