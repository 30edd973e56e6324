import { describe, expect, it } from "vitest";
import type { AppRoute } from "../../src/protocol/worker.ts";
import { Routes } from "../../src/proxy/routes.ts";

function route(app: string, ...hostnames: string[]): AppRoute {
  return { app, hostnames, state: "serving", upstreams: [] };
}

function routesOf(...put: AppRoute[]): Routes {
  const routes = new Routes();
  routes.apply({ replace: false, put, remove: [] });
  return routes;
}

describe("the lookup of a hostname", () => {
  it.each(["shop.test", "SHOP.Test", "shop.test.", "shop.test:8000", "Shop.TEST.:80"])(
    "finds %s whatever its port, case and final dot",
    (host) => {
      expect(routesOf(route("shop", "shop.test")).find(host)?.app).toBe("shop");
    },
  );

  it("prefers the exact name, then the longest wildcard", () => {
    const routes = routesOf(
      route("all", "*.test"),
      route("deep", "*.shop.test"),
      route("exact", "www.shop.test"),
    );
    expect(routes.find("www.shop.test")?.app).toBe("exact");
    expect(routes.find("cdn.shop.test")?.app).toBe("deep");
    expect(routes.find("a.b.shop.test")?.app).toBe("deep");
    expect(routes.find("other.test")?.app).toBe("all");
    expect(routes.find("shop.test")?.app).toBe("all");
  });

  it("takes a wildcard for labels below it, not for the name itself", () => {
    const routes = routesOf(route("shop", "*.shop.test"));
    expect(routes.find("shop.test")).toBeUndefined();
    expect(routes.find("eshop.test")).toBeUndefined();
  });

  it("keeps the brackets of an IPv6 literal", () => {
    expect(routesOf(route("six", "[::1]")).find("[::1]:8000")?.app).toBe("six");
  });
});

describe("a change of routes", () => {
  it("moves a hostname from one app to another as one", () => {
    const routes = routesOf(route("old", "shop.test", "old.test"));
    routes.apply({
      replace: false,
      put: [route("new", "shop.test"), route("old", "old.test")],
      remove: [],
    });
    expect(routes.find("shop.test")?.app).toBe("new");
    expect(routes.find("old.test")?.app).toBe("old");
  });

  it("lets a hostname go for good when another app has taken it", () => {
    const routes = routesOf(route("old", "shop.test"));
    routes.apply({ replace: false, put: [route("new", "shop.test")], remove: [] });
    routes.apply({ replace: false, put: [], remove: ["new"] });
    expect(routes.find("shop.test")).toBeUndefined();
    expect(routes.table()).toEqual([route("old")]);
  });

  it("forgets all that was when it replaces", () => {
    const routes = routesOf(route("old", "old.test"));
    routes.apply({ replace: true, put: [route("new", "new.test")], remove: [] });
    expect(routes.find("old.test")).toBeUndefined();
    expect(routes.table()).toEqual([route("new", "new.test")]);
  });

  it("is told to whoever watches, with the apps that it touched", () => {
    const routes = routesOf(route("a", "a.test"), route("b", "b.test"));
    const seen: string[][] = [];
    const stop = routes.watch((apps) => seen.push([...apps].sort()));
    routes.apply({ replace: false, put: [route("c", "c.test")], remove: ["a"] });
    routes.apply({ replace: true, put: [], remove: [] });
    stop();
    routes.apply({ replace: false, put: [route("d")], remove: [] });
    expect(seen).toEqual([
      ["a", "c"],
      ["b", "c"],
    ]);
  });
});
