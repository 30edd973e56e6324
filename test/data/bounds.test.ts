import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isLinear } from "../../src/data/couch/selector.ts";
import { TestDatabase } from "../support/data.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await TestDatabase.start();
  await database.ask("PUT", "/db");
  await database.ask("PUT", "/db/a", { text: `${"a".repeat(60)}!`, code: "2026-11" });
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

const find = (pattern: string, field = "text") =>
  database.ask("POST", "/db/_find", { selector: { [field]: { $regex: pattern } } });

describe("a regular expression in a selector", () => {
  it("finds, and holds nobody up however it was meant", async () => {
    expect((await find("^[0-9]{4}-\\d\\d$", "code")).json().docs).toHaveLength(1);
    // With backtracking each of these takes years.
    for (const pattern of ["^(a+)+$", "^(a|a|aa)+$", "(.*)*(.*)*(.*)*x$", "^(\\w+\\s?)*\\b$"]) {
      expect((await find(pattern)).json().docs, pattern).toEqual([]);
    }
    const query = { selector: { text: { $regex: "^(a+)+$" } } };
    const feed = await database.ask("POST", "/db/_changes?filter=_selector", query);
    expect(feed.json().results).toEqual([]);
  });

  it("is refused when it is not sure to end soon", async () => {
    for (const pattern of ["(a+)+\\1", "(?=a)b", "(?<!a)b", "^(a{0,9}){0,9}$", "a{0,50}a{0,50}b"]) {
      const { status, text } = await find(pattern);
      expect([status, text], pattern).toEqual([400, expect.stringMatching(/a \$regex has to be a pattern/)]);
      const query = { selector: { text: { $regex: pattern } } };
      expect((await database.ask("POST", "/db/_changes?filter=_selector", query)).status).toBe(400);
    }
    expect(["[(?=]{2}", "\\(\\){3}", "a\\{50}", "(?:a|b)+", "[\\]){9]"].map(isLinear)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
  });
});

describe("a map function that is slow at every document", () => {
  it("is stopped before others have waited long, and a quick one of the same size is not", async () => {
    const docs = Array.from({ length: 200 }, (_, n) => ({ _id: `doc-${n}`, n }));
    await database.ask("PUT", "/slow");
    await database.ask("POST", "/slow/_bulk_docs", { docs });
    const busy = "function (doc) { for (let i = 0; i < 3e6; i += 1); emit(doc.n); }";
    const views = { slow: { map: busy }, quick: { map: "function (doc) { emit(doc.n); }" } };
    await database.ask("PUT", "/slow/_design/d", { views });
    const indexed = database.ask("GET", "/slow/_design/d/_view/slow");
    expect((await database.ask("GET", "/db/a")).status).toBe(200);
    expect([(await indexed).status, (await indexed).json().error]).toEqual([500, "timeout"]);
    const quick = await database.ask("GET", "/slow/_design/d/_view/quick");
    expect(quick.json().rows).toHaveLength(200);
  });
});
