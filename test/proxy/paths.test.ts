import type { Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TestGeneralPath } from "../support/general-path.ts";
import { converse, RawApp, TestPlane } from "../support/plane.ts";

/**
 * Two apps below path prefixes of a hostname that a third one has. Threat: a path that Maestro takes for one app's, and
 * that app or another takes for something else: what is not meant to be reached there would be.
 */
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const apps = {
  shop: { hostnames: ["shop.test"] },
  pay: { hostnames: ["shop.test/payments"], stripped: ["shop.test/payments"] },
  kept: { hostnames: ["shop.test/kept", "*.shop.test/kept"] },
};
type Name = keyof typeof apps;
const servers = new Map<Name, RawApp>();

/** A body of these tests ends with 0xff. */
function answerWhole(socket: Socket, text: string): void {
  if (!/^content-length/im.test(text) || text.endsWith("\xff")) socket.write(answer);
  else socket.once("data", () => socket.write(answer));
}

const planes = {
  "the byte path": () => TestPlane.start(),
  "the general path": () => TestGeneralPath.start(),
};
const paths = new Map<string, TestPlane | TestGeneralPath>();

beforeAll(async () => {
  for (const name of Object.keys(apps) as Name[]) {
    servers.set(name, await RawApp.start(answerWhole));
  }
  for (const [title, start] of Object.entries(planes)) {
    const path = await start();
    for (const [name, { port }] of servers) path.route(name, port, apps[name]);
    paths.set(title, path);
  }
});
afterAll(async () => {
  for (const part of [...paths.values(), ...servers.values()]) await part[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const { received } of servers.values()) received.fill(""); // Their connections are kept.
});

/** What the apps have been sent, by app. */
function seen(): Partial<Record<Name, string>> {
  const texts = [...servers].map(([name, { received }]) => [name, received.join("")] as const);
  return Object.fromEntries(texts.filter(([, text]) => text !== ""));
}

describe.each(Object.keys(planes))("%s", (title) => {
  const get = async (path: string, { host = "shop.test", fields = "" } = {}) =>
    converse(paths.get(title)?.port ?? 0, [
      `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`,
    ]);

  it.each([
    "/payments/../admin",
    "/payments/%2e%2e/admin",
    "/payments/.%2E/admin",
    "/payments/%252e%252e/admin",
    "/payments/..%2fadmin",
    "/payments/..\\admin",
    "/payments/..%5Cadmin",
    "/payments/..;/admin",
    "/payments/..;x=1/admin",
    "/payments;x=1/a",
    "/payments%3bx/a",
    "/kept/a/../../admin",
    "/kept/..?x",
    "//payments",
    "/\\payments",
    "/%2fpayments",
    "/./payments",
    "/%2e/payments",
    "/x/../payments",
    "/%70ayments",
    "/payments%2fa",
    "/payments%5ca",
    "/payments%3fa",
    "/payments%00a",
    "/kept/../payments",
  ])("refuses a path that is one app's as sent, and another's as some read it: %s", async (path) => {
    expect(await get(path)).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(seen()).toEqual({});
  });

  it.each(["/payments//evil.test", "/payments/\\evil.test"])(
    "refuses a path that would be another host's without its prefix: %s",
    async (path) => {
      expect(await get(path)).toMatch(/^HTTP\/1\.1 400 /);
      expect(seen()).toEqual({});
    },
  );

  it.each([
    ["/", "shop", "/"],
    ["/paymentsx", "shop", "/paymentsx"],
    ["/a//b/%2F/../c;d", "shop", "/a//b/%2F/../c;d"],
    ["/?next=/payments/../x", "shop", "/?next=/payments/../x"],
    ["/payments", "pay", "/"],
    ["/payments?x=/../y", "pay", "/?x=/../y"],
    ["/payments/a%2Fb//c?d", "pay", "/a%2Fb//c?d"],
    ["/kept", "kept", "/kept"],
    ["/kept/a/./b/%2e%2e/c", "kept", "/kept/a/./b/%2e%2e/c"],
    ["//kept/", "shop", null],
  ] as const)("%s is of %s, which sees %s", async (path, app, expected) => {
    const text = await get(path);
    if (expected === null) expect(text).toMatch(/^HTTP\/1\.1 400 /);
    else expect(Object.keys(seen())).toEqual([app]);
    if (expected !== null) expect(seen()[app]).toMatch(`GET ${expected} HTTP/1.1\r\n`);
  });

  it("finds nothing where no app has the path", async () => {
    expect(await get("/other", { host: "eu.shop.test" })).toMatch(/^HTTP\/1\.1 404 /);
    await get("/kept/x", { host: "eu.shop.test:80" });
    expect(seen()).toEqual({ kept: expect.stringContaining("GET /kept/x ") });
  });

  it("tells an app the prefix that was taken off, and lets no client say so", async () => {
    const fields = "X-Forwarded-Prefix: /evil\r\nX-Other: 1\r\n";
    await get("/payments/x", { fields });
    await get("/kept/x", { fields });
    await get("/x", { fields });
    expect(seen().pay).toMatch(/^X-Forwarded-Prefix: \/payments\r$/m);
    expect(seen().pay?.match(/X-Forwarded-Prefix/gi)).toHaveLength(1);
    expect(seen().pay).toMatch(/^X-Other: 1\r$/m);
    expect(seen().kept).not.toMatch(/x-forwarded-prefix/i);
    expect(seen().shop).not.toMatch(/x-forwarded-prefix/i);
  });

  it("takes the prefix off a request for a tunnel", async () => {
    await get("/payments/socket?a", {
      fields: "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    });
    expect(seen().pay).toMatch(/^GET \/socket\?a HTTP\/1\.1\r\n/);
  });

  it("takes it off a request with a body, which stays as it is", async () => {
    const body = "\0GET /payments X-Forwarded-Prefix: \r\n\r\n\xff";
    await converse(paths.get(title)?.port ?? 0, [
      `POST /payments/a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`,
      body,
    ]);
    expect(seen().pay).toMatch(/^POST \/a HTTP\/1\.1\r\n/);
    expect(seen().pay?.endsWith(body)).toBe(true);
  });
});

it("what a proxy before Maestro has taken off stands before what Maestro takes off", async () => {
  await using plane = await TestPlane.start({ trustedProxies: ["127.0.0.1"] });
  for (const [name, { port }] of servers) plane.route(name, port, apps[name]);
  for (const version of ["1.1", "1.0"]) {
    const fields = "X-Forwarded-Prefix: /eu\r\nConnection: close\r\n";
    await converse(plane.port, [`GET /payments/x HTTP/${version}\r\nHost: shop.test\r\n${fields}\r\n`]);
  }
  const found = seen().pay?.match(/^X-Forwarded-Prefix: .*$/gim);
  expect(found).toEqual(["X-Forwarded-Prefix: /eu/payments", "X-Forwarded-Prefix: /eu/payments"]);
});
