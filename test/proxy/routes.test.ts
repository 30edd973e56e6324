import { describe, expect, it } from "vitest";
import type { AppRoute } from "../../src/protocol/worker.ts";
import { Routes } from "../../src/proxy/routes.ts";

function route(app: string, ...hostnames: string[]): AppRoute {
  return { app, hostnames, state: "serving", upstreams: [] };
}

function routesOf(...put: AppRoute[]): Routes {
  const routes = new Routes(1000);
  routes.apply({ replace: false, put, remove: [] });
  return routes;
}

const at = (routes: Routes, host: string, path = "/") =>
  routes.find({ host, path, place: null, field: () => "", bodyLength: 0, heldBytes: 0 })?.route.app;

describe("the lookup of a hostname", () => {
  it.each(["shop.test", "SHOP.Test", "shop.test.", "shop.test:8000", "Shop.TEST.:80"])(
    "finds %s whatever its port, case and final dot",
    (host) => {
      expect(at(routesOf(route("shop", "shop.test")), host)).toBe("shop");
    },
  );

  it("prefers the exact name, then the longest wildcard", () => {
    const routes = routesOf(
      route("all", "*.test"),
      route("deep", "*.shop.test"),
      route("exact", "www.shop.test"),
    );
    expect(at(routes, "www.shop.test")).toBe("exact");
    expect(at(routes, "cdn.shop.test")).toBe("deep");
    expect(at(routes, "a.b.shop.test")).toBe("deep");
    expect(at(routes, "other.test")).toBe("all");
    expect(at(routes, "shop.test")).toBe("all");
  });

  it("takes a wildcard for labels below it, not for the name itself", () => {
    const routes = routesOf(route("shop", "*.shop.test"));
    expect(at(routes, "shop.test")).toBeUndefined();
    expect(at(routes, "eshop.test")).toBeUndefined();
  });

  it("keeps the brackets of an IPv6 literal", () => {
    expect(at(routesOf(route("six", "[::1]")), "[::1]:8000")).toBe("six");
  });
});

describe("the lookup of a path on a hostname that is shared", () => {
  const routes = routesOf(
    route("shop", "shop.test"),
    route("pay", "shop.test/payments", "*.shop.test/payments"),
    route("cards", "shop.test/payments/cards"),
    route("any", "*.test"),
    route("docs", "docs.test/v1"),
  );

  it.each([
    ["/", "shop"],
    ["/payments", "pay"],
    ["/payments/", "pay"],
    ["/payments?to=/x", "pay"],
    ["/payments/cards", "cards"],
    ["/payments/cards/1", "cards"],
    ["/payments/cardsharp", "pay"],
    ["/paymentsx", "shop"],
    ["/Payments", "shop"],
    ["/a?b=/payments", "shop"],
    ["/a//b/%2F/c", "shop"],
    ["/payments/a/../b", "pay"],
    ["*", "shop"],
  ])("takes the longest prefix, by whole segments: %s is of %s", (path, app) => {
    expect(at(routes, "Shop.TEST.:80", path)).toBe(app);
  });

  it("goes on to the wildcards where nothing of the exact hostname fits", () => {
    expect(at(routes, "docs.test", "/v1/a")).toBe("docs");
    expect(at(routes, "docs.test", "/v2")).toBe("any");
    expect(at(routes, "eu.shop.test", "/payments")).toBe("pay");
    expect(at(routes, "eu.shop.test", "/")).toBe("any");
  });

  it("finds nothing where no prefix fits, and no wildcard", () => {
    expect(at(routesOf(route("docs", "docs.test/v1")), "docs.test", "/v2")).toBeUndefined();
  });

  it("moves a prefix from one app to another", () => {
    const moved = routesOf(route("old", "a.test/x", "a.test"), route("new", "A.test/x"));
    expect(at(moved, "a.test", "/x")).toBe("new");
    expect(at(moved, "a.test", "/X")).toBe("old");
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
    expect(at(routes, "shop.test")).toBe("new");
    expect(at(routes, "old.test")).toBe("old");
  });

  it("lets a hostname go for good when another app has taken it", () => {
    const routes = routesOf(route("old", "shop.test"));
    routes.apply({ replace: false, put: [route("new", "shop.test")], remove: [] });
    routes.apply({ replace: false, put: [], remove: ["new"] });
    expect(at(routes, "shop.test")).toBeUndefined();
    expect(routes.table()).toEqual([route("old")]);
  });

  it("forgets all that was when it replaces", () => {
    const routes = routesOf(route("old", "old.test"));
    routes.apply({ replace: true, put: [route("new", "new.test")], remove: [] });
    expect(at(routes, "old.test")).toBeUndefined();
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
