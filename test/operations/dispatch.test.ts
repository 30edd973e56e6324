import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type Call, dispatch, operation, type Subject } from "../../src/operations/operation.ts";
import { operations } from "../../src/operations/table.ts";

const admin: Call = {
  principal: { kind: "admin", via: "unix" },
  signal: new AbortController().signal,
  session: {},
};
const alice: Call = { ...admin, principal: { kind: "key", name: "alice", apps: ["blog"] } };
// The operations under test do not look at what they act on.
const nothing = {} as Subject;

const greet = operation({
  name: "greet",
  summary: "Greets an app",
  access: "app",
  input: z.object({ app: z.string().min(1), loud: z.boolean().default(false) }),
  output: z.string(),
  handle: async (_subject, { app, loud }) => (loud ? app.toUpperCase() : app),
});
const shutDown = operation({
  name: "shut_down",
  summary: "Ends it",
  access: "admin",
  input: z.object({}),
  output: z.string(),
  handle: async () => "done",
});
const table = new Map([greet, shutDown].map((entry) => [entry.name, entry]));

describe("a call of an operation", () => {
  it("is answered with what the operation returns, defaults filled in", async () => {
    expect(await dispatch(table, nothing, "greet", { app: "blog" }, admin)).toBe("blog");
    expect(await dispatch(table, nothing, "greet", { app: "blog", loud: true }, admin)).toBe("BLOG");
  });

  it.each([
    ["of an unknown name", "constructor", {}, "there is no operation"],
    ["without what it needs", "greet", {}, "app"],
    ["with a wrong type", "greet", { app: "blog", loud: "very" }, "loud"],
    ["with no object", "greet", "blog", "greet"],
    ["with null", "greet", null, "app"],
  ])("%s is refused as BAD_INPUT, with what is wrong", async (_, name, input, mention) => {
    const refused = expect(dispatch(table, nothing, name, input, admin)).rejects;
    await refused.toMatchObject({ code: "BAD_INPUT", message: expect.stringContaining(mention) });
  });

  it("by a key is allowed for the key's own apps, and for nothing else", async () => {
    expect(await dispatch(table, nothing, "greet", { app: "blog" }, alice)).toBe("blog");
    for (const [name, input] of [
      ["greet", { app: "shop" }],
      ["shut_down", {}],
    ] as const) {
      await expect(dispatch(table, nothing, name, input, alice)).rejects.toMatchObject({
        code: "UNAUTHORIZED",
      });
    }
  });
});

it("each operation in the table has a summary in one sentence", () => {
  for (const { name, summary } of operations.values()) expect(summary, name).toMatch(/^[A-Z].{10,}[^.]$/);
});
