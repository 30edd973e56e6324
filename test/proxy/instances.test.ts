import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { boundsOf } from "../../src/proxy/bounds.ts";
import { AppCounts } from "../../src/proxy/counts.ts";
import { Leases } from "../../src/proxy/leases.ts";
import type { Route } from "../../src/proxy/routes.ts";
import { SlowStart } from "../../src/proxy/slow-start.ts";
import { TestGeneralPath } from "../support/general-path.ts";
import { TestPlane } from "../support/plane.ts";
import { RawClient, routeOf, send, TestUpstream } from "../support/proxy.ts";

const paths = {
  "the byte path": () => TestPlane.start(),
  "the general path": () => TestGeneralPath.start(),
};

describe.each(Object.entries(paths))("sticky visitors, on %s", (_, start) => {
  let path: TestPlane | TestGeneralPath;
  const apps: TestUpstream[] = [];
  const put = (from: number, end: number, changes: object) => {
    const upstreams = apps
      .slice(from, end)
      .map(({ instance, port }) => ({ instance, host: "127.0.0.1", port }));
    path.route("a", 1, { ...changes, upstreams });
  };
  beforeAll(async () => {
    path = await start();
    for (const name of ["one", "two", "three"]) {
      const app = await TestUpstream.start(name);
      app.server.on("upgrade", (_request, socket) => {
        socket.on("error", () => {});
        socket.end(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n${name}`);
      });
      apps.push(app);
    }
  });
  afterAll(async () => {
    for (const part of [path, ...apps]) await part[Symbol.asyncDispose]();
  });
  const visit = async (cookie = "") => {
    const { body, headers } = await send(path.port, "a.test", { headers: cookie === "" ? {} : { cookie } });
    return { body, set: headers["set-cookie"]?.[0] ?? "" };
  };

  it("come back to the instance that they came to, and only new ones are given a cookie", async () => {
    put(0, 3, { settings: { sticky: true } });
    const first = await visit();
    expect(first.set).toMatch(/^maestro-a=[0-9a-f]{16}; Path=\/; HttpOnly; SameSite=Lax$/);
    const cookie = `x=1; ${first.set.split(";")[0]}; y="2"`;
    for (let time = 0; time < 6; time += 1)
      expect(await visit(cookie)).toEqual({ body: first.body, set: "" });
    expect(new Set((await Promise.all([visit(), visit(), visit()])).map(({ body }) => body)).size).toBe(3);
    const fields = `Cookie: ${cookie}\r\nConnection: Upgrade\r\nUpgrade: x\r\n`;
    const tunnel = new RawClient(path.port).write(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
    expect(await tunnel.untilClosed()).toMatch(new RegExp(`${first.body}$`));
  });

  it("go to another when theirs is gone, and are told so", async () => {
    put(0, 1, { settings: { sticky: true } });
    const cookie = (await visit()).set.split(";")[0];
    put(1, 2, { settings: { sticky: true } });
    const moved = await visit(cookie);
    expect(moved.body).toBe("two");
    expect(moved.set).toMatch(/^maestro-a=/);
    expect(moved.set.split(";")[0]).not.toBe(cookie);
  });

  it("are nobody where the app does not ask for it", async () => {
    put(0, 3, {});
    expect((await visit()).set).toBe("");
  });
});

describe("an instance that fails", () => {
  it("is taken out after three failures in a row, and put back when a check finds it well", async () => {
    await using plane = await TestPlane.start();
    await using good = await TestUpstream.start("good");
    let isBroken = true;
    await using bad = await TestUpstream.start("bad", (request, response) => {
      if (isBroken) request.socket.destroy();
      else response.end("bad");
    });
    const settings = { check: { path: "/health", below: 400 } };
    plane.plane.apply({ replace: false, put: [routeOf("a", [good, bad], { settings })], remove: [] });
    const answers = async (count: number) => {
      const seen: (number | string)[] = [];
      for (let at = 0; at < count; at += 1) {
        const { status, body } = await send(plane.port, "a.test");
        seen.push(status === 200 ? body : status);
      }
      return seen;
    };
    expect((await answers(6)).filter((one) => one === 502)).toHaveLength(3);
    expect(plane.plane.status().out).toEqual(["bad"]);
    expect(await answers(6)).toEqual(Array(6).fill("good"));
    isBroken = false;
    for (;;) {
      const [request] = await once(bad.server, "request");
      if (request.url === "/health") break;
    }
    while (!(await answers(2)).includes("bad")); // The check's answer is on its way.
    expect(plane.plane.status().out).toEqual([]);
  });

  it("is taken out when it says so itself, though it answers, and put back when it is well", async () => {
    await using plane = await TestPlane.start();
    await using good = await TestUpstream.start("good");
    let isWell = false;
    await using bad = await TestUpstream.start("bad", ({ url }, response) => {
      response.statusCode = url === "/health" && !isWell ? 503 : 200;
      response.end("bad");
    });
    const settings = { check: { path: "/health", below: 400, everyMs: 1 } };
    plane.plane.apply({ replace: false, put: [routeOf("a", [good, bad], { settings })], remove: [] });
    while (plane.plane.status().out.length === 0) {
      await once(bad.server, "request");
      await send(plane.port, "a.test"); // What it answers meanwhile does not speak for it.
    }
    expect(plane.plane.status().out).toEqual(["bad"]);
    for (let time = 0; time < 4; time += 1) expect((await send(plane.port, "a.test")).body).toBe("good");
    isWell = true;
    while (plane.plane.status().out.length > 0) await once(bad.server, "request");
    expect(good.requests.some(({ url }) => url === "/health")).toBe(true);
  });

  it("is taken out when it hangs, and nobody asks one that has no other beside it", async () => {
    await using plane = await TestPlane.start();
    await using good = await TestUpstream.start("good");
    await using hanging = await TestUpstream.start("hanging", () => {});
    await using alone = await TestUpstream.start("alone");
    const settings = { check: { path: "/health", below: 400, everyMs: 1 } };
    const put = [
      routeOf("a", [good, hanging], { settings }),
      routeOf("b", [alone], { settings }),
      routeOf("c", [good, hanging], { settings: { check: { path: "/other", below: 400 } } }),
    ];
    plane.plane.apply({ replace: false, put, remove: [] });
    while (plane.plane.status().out.length === 0) await once(good.server, "request");
    expect(plane.plane.status().out).toEqual(["hanging"]);
    expect([alone.requests, good.requests.filter(({ url }) => url === "/other")]).toEqual([[], []]);
  });

  it("goes on getting requests when there is no other", async () => {
    await using plane = await TestPlane.start();
    await using bad = await TestUpstream.start("bad", (request) => request.socket.destroy());
    plane.route("a", bad.port);
    for (let time = 0; time < 5; time += 1) expect((await send(plane.port, "a.test")).status).toBe(502);
    expect(bad.requests.filter(({ url }) => url === "/")).toHaveLength(5);
  });
});

describe("an instance that joins others", () => {
  it("takes its share little by little, one that replaces all of them at once", () => {
    let now = 0;
    const slowStart = new SlowStart(() => now);
    const leases = new Leases({ slowStart });
    const routeTo = (...instances: string[]): Route => ({
      ...routeOf(
        "a",
        instances.map((instance) => ({ instance, port: 1 })),
      ),
      turn: 0,
      bounds: boundsOf({}, 1000),
      counts: new AppCounts(),
    });
    const [before, after] = [routeTo("old"), routeTo("old", "new")];
    slowStart.changed(before.upstreams, after.upstreams);
    const claimed = (count: number) =>
      Array.from({ length: count }, () => leases.claim(after, "request")?.upstream.instance);
    expect(claimed(11).filter((instance) => instance === "new")).toHaveLength(1);
    now = 10_000;
    expect(claimed(9)).toEqual(Array(9).fill("new"));
    expect(slowStart.isOn).toBe(false);
    slowStart.changed(after.upstreams, routeTo("fresh", "fresher").upstreams);
    expect(slowStart.isOn).toBe(false);
  });
});
