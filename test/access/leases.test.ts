import { describe, expect, it } from "vitest";
import { Leases } from "../../src/access/leases.ts";

const alice = { owner: "alice 1", who: "key alice" };
const bob = { owner: "bob 2", who: "key bob" };

describe("whose turn it is to send to an app", () => {
  it("is one owner's at a time, app by app, with as many sessions as he has", async () => {
    const leases = new Leases();
    const first = await leases.take("blog", alice, { wait: false });
    const second = await leases.take("blog", alice, { wait: false });
    await expect(leases.take("blog", bob, { wait: false })).rejects.toMatchObject({
      code: "BUSY",
      message: expect.stringContaining("key alice deploys blog since"),
    });
    using _shop = await leases.take("shop", bob, { wait: false });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    await expect(leases.take("blog", bob, { wait: false })).rejects.toMatchObject({ code: "BUSY" });
    second[Symbol.dispose]();
    using _blog = await leases.take("blog", bob, { wait: false });
  });

  it("comes to whoever waits for it, in turn, and not to one who is gone", async () => {
    const leases = new Leases();
    const held = await leases.take("blog", alice, { wait: false });
    const order: string[] = [];
    const leaving = new AbortController();
    const gone = leases.take(
      "blog",
      { owner: "carol 3", who: "key carol" },
      { wait: true, signal: leaving.signal },
    );
    const waiting = ["bob 2", "bob 3"].map(async (owner) => {
      const lease = await leases.take("blog", { owner, who: "key bob" }, { wait: true });
      order.push(owner);
      lease[Symbol.dispose]();
    });
    leaving.abort();
    await expect(gone).rejects.toThrow();
    held[Symbol.dispose]();
    await Promise.all(waiting);
    expect(order).toEqual(["bob 2", "bob 3"]);
  });

  it("is soon the same person's again, whose connection was cut", async () => {
    const leases = new Leases();
    const held = await leases.take("blog", alice, { wait: false });
    const again = leases.take("blog", { ...alice, owner: "alice 9" }, { wait: false });
    held[Symbol.dispose]();
    using _again = await again;
  });
});
