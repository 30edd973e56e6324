import { describe, expect, it } from "vitest";
import { normalizeMount, sharesHostname } from "../../src/app/mount.ts";

describe("a mount", () => {
  it.each([
    ["Shop.Example.com", "shop.example.com"],
    ["shop.test/", "shop.test"],
    ["Shop.test/Payments/v1/", "shop.test/Payments/v1"],
    ["*.shop.test/api", "*.shop.test/api"],
    ["bücher.test/a~b", "xn--bcher-kva.test/a~b"],
  ])("%s is %s", (text, mount) => {
    expect(normalizeMount(text)).toBe(mount);
  });

  it.each([
    "/payments",
    "shop.test//a",
    "shop.test/a//b",
    "shop.test/..",
    "shop.test/./a",
    "shop.test/%61",
    "shop.test/a;b",
    "shop.test/a?b",
    "shop.test/a#b",
    "shop.test/a b",
    "shop.test/*",
    "shop.test/ä",
    "shop.test:80/a",
    "http://shop.test/a",
    `shop.test/${"a".repeat(200)}`,
  ])("%s is none", (text) => {
    expect(normalizeMount(text)).toBeNull();
  });

  it("shares a hostname with what else is mounted there, and as a path with the wildcard above it", () => {
    expect(sharesHostname("shop.test/a", "shop.test")).toBe(true);
    expect(sharesHostname("shop.test", "shop.test/a")).toBe(true);
    expect(sharesHostname("eu.shop.test/a", "*.shop.test")).toBe(true);
    expect(sharesHostname("eu.shop.test", "*.shop.test")).toBe(false);
    expect(sharesHostname("shop.test/a", "eshop.test")).toBe(false);
  });
});
