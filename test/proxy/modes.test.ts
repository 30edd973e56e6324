import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Mode } from "../../src/app/mode.ts";
import { Holding } from "../../src/proxy/hold.ts";
import { Refusal } from "../../src/proxy/refusal.ts";
import { Routes } from "../../src/proxy/routes.ts";
import { TestGeneralPath } from "../support/general-path.ts";
import { TestPlane } from "../support/plane.ts";
import { RawClient, send, TestUpstream } from "../support/proxy.ts";

const since = "2026-11-28T12:00:00.000Z";
const paused = (holdMs = 60_000): Mode => ({ kind: "paused", since, holdMs });
const maintenance = (message: string): Mode => ({ kind: "maintenance", since, message });

const paths = {
  "the byte path": () => TestPlane.start(),
  "the general path": () => TestGeneralPath.start(),
};

describe.each(Object.entries(paths))("%s", (_, start) => {
  let path: TestPlane | TestGeneralPath;
  let app: TestUpstream;
  const turn = (mode?: Mode) => path.route("a", app.port, mode ? { mode } : {});
  beforeAll(async () => {
    path = await start();
    app = await TestUpstream.start("a", (request, response) => {
      if (request.url === "/stream") {
        response.writeHead(200, { "content-type": "text/event-stream" }).write("first\n");
        request.on("data", (part) => response.write(part));
      } else {
        request.resume().on("end", () => response.end("answered"));
      }
    });
  });
  afterAll(async () => {
    await path[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  describe("a paused app", () => {
    it("gets what was held when it is resumed, bodies too", async () => {
      turn(paused());
      const before = app.requests.length;
      const held = [
        send(path.port, "a.test"),
        send(path.port, "a.test", { method: "POST", body: "x".repeat(300_000) }),
      ];
      await send(path.port, "nobody.test"); // By then those before have been read.
      expect(app.requests.length).toBe(before);
      turn();
      for (const { status, body } of await Promise.all(held))
        expect([status, body]).toEqual([200, "answered"]);
    });

    it("holds each request for so long at most, then tells it to come again", async () => {
      turn(paused(1));
      const { status, headers } = await send(path.port, "a.test");
      expect([status, headers["retry-after"]]).toEqual([503, "5"]);
    });

    it("forgets who leaves", async () => {
      turn(paused());
      const before = app.requests.length;
      const client = new RawClient(path.port).write("GET /left HTTP/1.1\r\nHost: a.test\r\n\r\n");
      await once(client.socket, "connect");
      client.socket.resetAndDestroy();
      await client.untilClosed();
      await send(path.port, "nobody.test");
      turn();
      expect((await send(path.port, "a.test")).status).toBe(200);
      expect(app.requests.slice(before).map(({ url }) => url)).toEqual(["/"]);
    });

    it("holds so many requests, and refuses the rest at once", { timeout: 30_000 }, async () => {
      turn(paused());
      const text = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
      const clients = Array.from({ length: 1010 }, () => new RawClient(path.port).write(text));
      const refused = clients.map(async (client) => {
        const answer = await client.untilClosed();
        return answer.startsWith("HTTP/1.1 503 ");
      });
      let count = 0;
      await new Promise<void>((resolve) => {
        for (const one of refused) void one.then((is) => is && ++count === 10 && resolve());
      });
      turn();
      expect((await Promise.all(refused)).filter((is) => is)).toHaveLength(10);
    });
  });

  describe("an app in maintenance", () => {
    it("has a page for browsers, in which its message is text", async () => {
      turn(maintenance("<script>alert(\"&')</script>\nBack at noon."));
      const headers = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
      const reply = await send(path.port, "a.test", { headers });
      expect([reply.status, reply.headers["retry-after"]]).toEqual([503, "30"]);
      expect(reply.headers["content-type"]).toBe("text/html; charset=utf-8");
      expect(reply.body).toContain("&lt;script&gt;alert(&quot;&amp;&#39;)&lt;/script&gt;<br>\nBack at noon.");
      expect(reply.body).not.toContain("<script>");
    });

    it("has JSON for programs that read it, and text for others", async () => {
      turn(maintenance("Back at <noon>."));
      const json = await send(path.port, "a.test", { headers: { accept: "application/json" } });
      expect(JSON.parse(json.body)).toEqual({ error: "maintenance", message: "Back at <noon>." });
      const text = await send(path.port, "a.test", { method: "POST", body: "x" });
      expect([text.status, text.headers["content-type"], text.body]).toEqual([
        503,
        "text/plain; charset=utf-8",
        "Back at <noon>.",
      ]);
      expect((await send(path.port, "a.test", { method: "HEAD" })).status).toBe(503);
    });

    it("answers those so that were held", async () => {
      turn(paused());
      const held = send(path.port, "a.test", { headers: { accept: "text/html" } });
      await send(path.port, "nobody.test");
      turn(maintenance("Later."));
      expect((await held).body).toContain("<p>Later.</p>");
    });

    it("goes on with what is under way", async () => {
      turn();
      const head = "POST /stream HTTP/1.1\r\nHost: a.test\r\nContent-Length: 7\r\n\r\n";
      const client = new RawClient(path.port).write(head);
      await client.until("first");
      turn(maintenance("Later."));
      client.write("second\n");
      await client.until("second");
      client.socket.destroy();
    });

    it("has its page also when nothing of it runs", async () => {
      path.route("a", app.port, { state: "away", upstreams: [], mode: maintenance("Later.") });
      expect((await send(path.port, "a.test")).body).toBe("Later.");
    });
  });
});

it("what is held has a limit in memory as well: of large requests it is fewer", async () => {
  const routes = new Routes(1000);
  const holding = new Holding(routes, 60_000);
  const client = new AbortController();
  using holds = new DisposableStack();
  const wait = (megabytes: number) => {
    const hold = holds.use(holding.begin(client.signal, megabytes * 1024 * 1024));
    return hold.untilChanged("a", () => new Refusal(503, "full"));
  };
  const held = [wait(64)];
  await expect(wait(33)).rejects.toThrow("full");
  held.push(wait(32));
  routes.apply({ replace: false, put: [], remove: ["a"] });
  await Promise.all(held);
});
