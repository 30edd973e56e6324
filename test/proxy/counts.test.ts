import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addTraffic, bucketMs, bucketOf, percentile, type TrafficCounts } from "../../src/app/traffic.ts";
import { AppCounts } from "../../src/proxy/counts.ts";
import { TestPlane } from "../support/plane.ts";
import { RawClient, send, TestUpstream } from "../support/proxy.ts";

describe("what a worker counts for each app", () => {
  let plane: TestPlane;
  let app: TestUpstream;
  beforeAll(async () => {
    plane = await TestPlane.start();
    app = await TestUpstream.start("a", (request, response) => {
      if (request.url === "/wait") return;
      response.writeHead(Number(request.url?.slice(1)) || 200, { "content-length": 6 });
      request.resume().on("end", () => response.end(request.method === "HEAD" ? "" : "answer"));
    });
    app.server.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
      socket.pipe(socket);
    });
    plane.route("a", app.port);
  });
  afterAll(async () => {
    await plane[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });
  const counts = (): TrafficCounts => {
    const found = plane.plane.status().traffic["a"];
    if (!found) throw new Error("nothing counted");
    return found;
  };
  /** What is counted while something is done, once that has ended in the worker, too. */
  async function counted(work: () => Promise<unknown>, requests = 1): Promise<TrafficCounts> {
    const before = counts();
    await work();
    while (counts().requests < before.requests + requests) await send(plane.port, "nobody.test");
    return addTraffic(counts(), before, -1);
  }

  it.each(["1.1", "1.0"])("is a request, its status, its bytes and its latency: HTTP/%s", async (version) => {
    const head = `POST /404 HTTP/${version}\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\n`;
    const done = await counted(() => new RawClient(plane.port).write(`${head}hello`).untilClosed());
    expect(done).toMatchObject({ requests: 1, statuses: [0, 0, 0, 0, 1, 0], bytesIn: 5, bytesOut: 6 });
    expect(done.histogram.reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  it("is what Maestro answers in the app's place, too", async () => {
    plane.route("a", app.port, { settings: { maxBody: 1 } });
    const done = await counted(() => send(plane.port, "a.test", { method: "POST", body: "hello" }));
    expect(done).toMatchObject({ requests: 1, statuses: [0, 0, 0, 0, 1, 0], bytesOut: 0 });
    plane.route("a", app.port);
  });

  it("is a client that left before it was answered", async () => {
    const done = await counted(async () => {
      const client = new RawClient(plane.port).write("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
      while (plane.plane.status().inFlight["a"] === undefined) await send(plane.port, "nobody.test");
      client.socket.resetAndDestroy();
    });
    expect(done).toMatchObject({ requests: 1, statuses: [1, 0, 0, 0, 0, 0] });
  });

  it("is a tunnel, with what went through it both ways", async () => {
    const done = await counted(async () => {
      const fields = "Connection: Upgrade\r\nUpgrade: x\r\n";
      const client = new RawClient(plane.port).write(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
      await client.until("\r\n\r\n");
      await client.write("x".repeat(1000)).until("x".repeat(1000));
      client.socket.destroy();
    });
    expect(done.statuses).toEqual([0, 1, 0, 0, 0, 0]);
    expect(done.bytesIn).toBeGreaterThan(1000);
    expect(done.bytesOut).toBeGreaterThan(1000);
  });

  it("goes on over changes of its route, and ends with it", async () => {
    const { requests } = counts();
    plane.plane.apply({ replace: true, put: plane.plane.table(), remove: [] });
    expect(counts().requests).toBe(requests);
    plane.plane.apply({ replace: false, put: [], remove: ["a"] });
    expect(plane.plane.status().traffic).toEqual({});
  });
});

describe("a histogram", () => {
  it("has each latency in the bucket that reaches up to it, to a fifth", () => {
    for (const ms of [0.05, 0.125, 1, 1.3, 7, 99, 1000, 60_000]) {
      expect(bucketMs(bucketOf(ms))).toBeGreaterThanOrEqual(ms);
      if (ms > 0.125) expect(bucketMs(bucketOf(ms))).toBeLessThan(ms * 1.2);
    }
    expect(bucketOf(1e9)).toBe(79);
  });

  it("tells percentiles, also of what several workers have counted", () => {
    const [one, other] = [new AppCounts(), new AppCounts()];
    for (let count = 0; count < 98; count += 1) one.record(200, 1, 0, 0);
    for (let count = 0; count < 2; count += 1) other.record(200, 900, 0, 0);
    const { histogram } = addTraffic(one.report(), other.report());
    expect(percentile(histogram, 0.5)).toBe(1);
    expect(percentile(histogram, 0.99)).toBeGreaterThan(900);
    expect(percentile([], 0.5)).toBeNull();
  });
});
