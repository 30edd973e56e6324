import { describe, expect, it } from "vitest";
import { boundsOf } from "../../src/proxy/bounds.ts";
import { AppCounts } from "../../src/proxy/counts.ts";
import type { Lease } from "../../src/proxy/lease.ts";
import { Leases } from "../../src/proxy/leases.ts";
import type { Route } from "../../src/proxy/routes.ts";

const never = { requestsMs: 60_000, streamsMs: 60_000 };

function routeTo(...instances: string[]): Route {
  const upstreams = instances.map((instance) => ({ instance, host: "127.0.0.1", port: 1 }));
  return {
    app: "shop",
    hostnames: [],
    state: "serving",
    upstreams,
    turn: 0,
    bounds: boundsOf({}, 1000),
    counts: new AppCounts(),
  };
}

function claim(leases: Leases, route: Route, kind: "request" | "stream" = "request"): Lease {
  const lease = leases.claim(route, kind);
  if (!lease) throw new Error("nothing to claim");
  return lease;
}

describe("a claim", () => {
  it("takes the instance with the least requests in flight, equals in turn", () => {
    const leases = new Leases();
    const route = routeTo("a", "b", "c");
    const held = [1, 2, 3, 4].map(() => claim(leases, route));
    expect(held.map(({ upstream }) => upstream.instance)).toEqual(["a", "b", "c", "a"]);
    held[1]?.release();
    held[2]?.release();
    expect([1, 2].map(() => claim(leases, route).upstream.instance)).toEqual(["b", "c"]);
  });

  it("passes over those that have refused, and has nothing when all have", () => {
    const leases = new Leases();
    const route = routeTo("a", "b");
    expect(leases.claim(route, "request", new Set(["a"]))?.upstream.instance).toBe("b");
    expect(leases.claim(route, "request", new Set(["a", "b"]))).toBeNull();
    expect(leases.claim(routeTo(), "request")).toBeNull();
  });

  it("is counted until it is released, once, and moves when it becomes a stream", () => {
    const leases = new Leases();
    const lease = claim(leases, routeTo("a"));
    expect(leases.inFlight()).toEqual({ a: { requests: 1, streams: 0 } });
    lease.becomeStream();
    lease.becomeStream();
    expect(leases.inFlight()).toEqual({ a: { requests: 0, streams: 1 } });
    lease.release();
    lease.release();
    lease.becomeStream();
    expect(leases.inFlight()).toEqual({});
  });

  it("ends with the block that it was made for", () => {
    const leases = new Leases();
    {
      using _lease = claim(leases, routeTo("a"));
      expect(leases.at("a")).toEqual({ requests: 1, streams: 0 });
    }
    expect(leases.at("a")).toEqual({ requests: 0, streams: 0 });
  });
});

describe("a drain", () => {
  it("is done at once when nothing is under way", async () => {
    expect(await new Leases().drain("a", never)).toEqual({ requests: 0, streams: 0 });
  });

  it("waits for requests and streams to end", async () => {
    const leases = new Leases();
    const route = routeTo("a");
    const [request, stream] = [claim(leases, route), claim(leases, route, "stream")];
    const drained = leases.drain("a", never);
    request.release();
    stream.release();
    expect(await drained).toEqual({ requests: 0, streams: 0 });
  });

  it("gives up streams after their limit, and still waits for requests", async () => {
    const leases = new Leases();
    const route = routeTo("a");
    const [request] = [claim(leases, route), claim(leases, route, "stream")];
    const drained = leases.drain("a", { requestsMs: 60_000, streamsMs: 0 });
    const streamsPassed = leases.drain("b", { requestsMs: 0, streamsMs: 0 });
    await streamsPassed;
    request.release();
    expect(await drained).toEqual({ requests: 0, streams: 1 });
  });

  it("says what is left after the limits", async () => {
    const leases = new Leases();
    claim(leases, routeTo("a"));
    expect(await leases.drain("a", { requestsMs: 1, streamsMs: 1 })).toEqual({ requests: 1, streams: 0 });
  });

  it("minds its own instance only", async () => {
    const leases = new Leases();
    claim(leases, routeTo("b"));
    expect(await leases.drain("a", never)).toEqual({ requests: 0, streams: 0 });
  });
});
