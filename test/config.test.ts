import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { loadConfig, parseAddress } from "../src/config.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "maestro-config-"));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
});

describe("an address", () => {
  test.each([
    ["127.0.0.1:80", { host: "127.0.0.1", port: 80 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    [":8000", { port: 8000 }],
    [" 8000 ", { port: 8000 }],
  ])("is read from %j", (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  test.each(["", ":", "a", "a:", "a:b", ":65536", "::1:80", "a b:80", "1:2:3", ":-1"])(
    "is not %j",
    (text) => {
      expect(parseAddress(text)).toBe(null);
    },
  );
});

describe("settings", () => {
  test("have defaults", () => {
    expect(loadConfig({ home }, {})).toMatchObject({
      home,
      http: [{ port: 8000 }],
      rpc: { host: "127.0.0.1", port: 7272 },
      domain: "localhost",
      readyTimeout: 30,
      accessLog: false,
    });
  });

  test("come from the file, the environment above it, and flags above that", () => {
    writeFileSync(
      join(home, "maestro.json"),
      JSON.stringify({ domain: "file", hold: 1, stopGrace: 2, workers: 3 }),
    );
    const env = { MAESTRO_HOME: home, MAESTRO_HOLD: "4", MAESTRO_STOP_GRACE: "5", MAESTRO_WORKERS: "" };
    expect(loadConfig({ stopGrace: 6 }, env)).toMatchObject({
      domain: "file",
      hold: 4,
      stopGrace: 6,
      workers: 3,
    });
  });

  test("are parsed from text as the environment has it", () => {
    const env = {
      MAESTRO_HTTP: ":80,127.0.0.1:8080;proxy-protocol",
      MAESTRO_ACCESS_LOG: "1",
      MAESTRO_DOMAIN: "Apps.Example.",
    };
    expect(loadConfig({ home }, env)).toMatchObject({
      http: [{ port: 80 }, { host: "127.0.0.1", port: 8080, proxyProtocol: true }],
      accessLog: true,
      domain: "apps.example",
    });
  });

  test("cannot be changed afterwards", () => {
    expect(Object.isFrozen(loadConfig({ home }, {}))).toBe(true);
  });

  test.each([
    [{ workers: "many" }, /workers/],
    [{ hold: 4000 }, /hold/],
    [{ http: "nowhere" }, /"nowhere" is not an address/],
    [{ domain: "*.x" }, /not a DNS name/],
    [{ colour: "red" }, /colour/],
    [{ rpcToken: "short" }, /16 characters/],
    [{ isolation: "total" }, /isolation/],
  ])("%j are refused, and the wrong one named", (flags, message) => {
    expect(() => loadConfig({ home, ...flags }, {})).toThrow(expect.objectContaining({ code: "BAD_INPUT" }));
    expect(() => loadConfig({ home, ...flags }, {})).toThrow(message);
  });

  test.each(["{", "[]", '"x"'])("a file that is %s is refused by its path", (text) => {
    writeFileSync(join(home, "maestro.json"), text);
    expect(() => loadConfig({ home }, {})).toThrow(`${join(home, "maestro.json")} is not a JSON object`);
  });
});

describe("the RPC door", () => {
  test.each(["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])("needs no token on %s", (rpc) => {
    expect(loadConfig({ home, rpc }, {}).rpcToken).toBe(undefined);
  });

  test.each([":7272", "0.0.0.0:1", "192.168.0.1:1", "[::]:1", "127.example:1"])(
    "needs a token on %s",
    (rpc) => {
      expect(() => loadConfig({ home, rpc }, {})).toThrow(/set --rpc-token/);
      expect(loadConfig({ home, rpc, rpcToken: "0123456789abcdef" }, {}).rpcToken).toBe("0123456789abcdef");
    },
  );
});
