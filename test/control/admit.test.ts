import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostnameClaims } from "../../src/control/admit.ts";
import type { Controller } from "../../src/control/controller.ts";
import { Registry } from "../../src/control/registry.ts";

let home: string;
let controller: Controller;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "maestro-admit-"));
  const registry = await Registry.open(home, "localhost");
  const shop = await registry.create("shop", false);
  await registry.save({ ...shop, hostnames: ["shop.test", "*.wild.test"] });
  const pay = await registry.create("pay", false);
  await registry.save({ ...pay, hostnames: ["shop.test/payments"] });
  controller = { registry, claims: new Map() } as unknown as Controller;
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const claim = (app: string, mount: string, apps?: string[]) => {
  using claims = new HostnameClaims(controller, app, apps ? { apps } : {});
  claims.add([mount]);
};

describe("a path of a hostname that another app has", () => {
  it("is an admin's to give", () => {
    expect(() => claim("blog", "shop.test/blog")).not.toThrow();
  });

  it.each([
    ["shop.test/login", "shop"],
    ["shop.test/payments/login", "shop"],
    ["eu.wild.test/login", "shop"],
  ])("is not to be had by a key that may not change that app: %s", (mount, owner) => {
    expect(() => claim("evil", mount, ["evil", "pay"])).toThrow(
      expect.objectContaining({ code: "HOSTNAME_TAKEN", details: { hostname: mount, app: "evil", owner } }),
    );
  });

  it("is to be had by a key of all the apps there", () => {
    expect(() => claim("blog", "shop.test/blog", ["blog", "shop", "pay"])).not.toThrow();
  });

  it("stays with the app that an admin gave it to, whoever deploys that", () => {
    expect(() => claim("pay", "shop.test/payments", ["pay"])).not.toThrow();
  });
});
