import { describe, expect, it } from "vitest";
import { settingOptions } from "../../../sdk/cli/commands/serve.ts";
import { loadConfig, settingNames } from "../../../src/config.ts";
import { directoryWith, FakeServer, runCli } from "../support.ts";

/** What is typed, and what the server is asked then. */
const calls: [string, { name: string; input: object }][] = [
  ["apps", { name: "apps", input: {} }],
  ["ps", { name: "ps", input: {} }],
  ["ps shop", { name: "ps", input: { app: "shop" } }],
  ["restart shop", { name: "restart", input: { app: "shop" } }],
  [
    "restart shop shop.test --wait",
    { name: "restart", input: { app: "shop", hostname: "shop.test", wait: true } },
  ],
  ["logs shop", { name: "logs", input: { app: "shop", lines: 100 } }],
  [
    "logs shop -f -n 5 -p web",
    { name: "logs", input: { app: "shop", lines: 5, follow: true, process: "web", after: [] } },
  ],
  ["domains shop", { name: "domains", input: { app: "shop" } }],
  ["domains add shop a.test", { name: "domains_add", input: { app: "shop", hostname: "a.test" } }],
  ["pause shop", { name: "pause", input: { app: "shop" } }],
  ["pause shop --hold-for 5", { name: "pause", input: { app: "shop", holdFor: 5 } }],
  ["resume shop", { name: "resume", input: { app: "shop" } }],
  ["maintenance on shop --message hi", { name: "maintenance_on", input: { app: "shop", message: "hi" } }],
  ["maintenance off shop", { name: "maintenance_off", input: { app: "shop" } }],
  [
    "domains add shop a.test/b --strip-prefix",
    { name: "domains_add", input: { app: "shop", hostname: "a.test/b", stripPrefix: true } },
  ],
  ["domains remove shop a.test", { name: "domains_remove", input: { app: "shop", hostname: "a.test" } }],
  ["remove shop", { name: "remove", input: { app: "shop" } }],
  ["remove shop --data", { name: "remove", input: { app: "shop", data: true } }],
  ["stop shop", { name: "stop", input: { app: "shop" } }],
  ["stop", { name: "stop", input: {} }],
  ["status", { name: "status", input: {} }],
  ["doctor", { name: "doctor", input: {} }],
];

describe("a command asks the server", () => {
  for (const [typed, call] of calls) {
    it(`\`maestro ${typed}\``, async () => {
      const server = new FakeServer({ logs: () => ({ lines: [] }), doctor: () => ({ checks: [] }) });
      const ran = await runCli([...typed.split(" "), "--json"], server);
      expect(server.calls).toEqual([call]);
      expect(ran).toMatchObject({ code: 0, stderr: "" });
      expect(server.closed).toBe(1);
    });
  }

  it("`maestro deploy DIR`", async () => {
    const path = await directoryWith({}, "incoming");
    const directory = await directoryWith({ "app.js": "" }, "shop");
    const server = new FakeServer({ incoming: () => ({ path }), restart: () => deployed });
    const ran = await runCli(
      ["deploy", directory, "--app", "other", "--hostname", "a.test", "--hostname", "b.test", "--wait"],
      server,
    );
    expect(server.calls).toEqual([
      { name: "incoming", input: { app: "other", sending: true, wait: true } },
      { name: "restart", input: { app: "other", sent: true, hostnames: ["a.test", "b.test"], wait: true } },
    ]);
    expect(ran).toMatchObject({ code: 0, stdout: "shop v3 serves (0 ms)\n  http://shop.localhost:8000/\n" });
    expect(ran.stderr).toMatch(/^sent 1 new or changed file \(\d+ ms\)\n$/);
  });
});

const deployed = {
  app: "shop",
  hostnames: ["shop.localhost"],
  release: 3,
  instances: [],
  tookMs: 10,
  urls: ["http://shop.localhost:8000/"],
  notes: [],
};

describe("the server", () => {
  const connectedTo = async (argv: string[], env: Record<string, string>) => {
    const server = new FakeServer({ apps: () => [] });
    const ran = await runCli(argv, server, { env });
    return { ...ran, connections: server.connections };
  };

  it("is on this machine unless said otherwise", async () => {
    expect((await connectedTo(["apps"], {})).connections).toEqual([{ server: "127.0.0.1:7272" }]);
  });

  it("is the one of MAESTRO_SERVER, or of --server before or behind the command", async () => {
    const env = { MAESTRO_SERVER: "one:1" };
    expect((await connectedTo(["apps"], env)).connections).toEqual([{ server: "one:1" }]);
    expect((await connectedTo(["apps", "--server", "[::1]:2"], env)).connections).toEqual([
      { server: "[::1]:2" },
    ]);
    expect((await connectedTo(["--server", "two:2", "apps"], env)).connections).toEqual([
      { server: "two:2" },
    ]);
  });

  it("is told the token of MAESTRO_RPC_TOKEN", async () => {
    const { connections } = await connectedTo(["apps"], { MAESTRO_RPC_TOKEN: "0123456789abcdef" });
    expect(connections).toEqual([{ server: "127.0.0.1:7272", token: "0123456789abcdef" }]);
  });
});

describe("serve", () => {
  it("has an option for every setting", () => {
    expect(Object.keys(settingOptions).sort()).toEqual([...settingNames].sort());
  });

  it("passes on what was given, under the names of the settings, and nothing else", async () => {
    const typed =
      "--home /h --http :8000 --http 127.0.0.1:0 --rpc-token 0123456789abcdef --stream-drain 3 --trusted-proxies 10.0.0.0/8,::1 --trusted-proxies 10.1.1.1 --access-log";
    const { served, code } = await runCli(["serve", ...typed.split(" ")]);
    expect(code).toBe(0);
    expect(served).toEqual([
      {
        home: "/h",
        http: [":8000", "127.0.0.1:0"],
        rpcToken: "0123456789abcdef",
        streamDrain: "3",
        trustedProxies: ["10.0.0.0/8", "::1", "10.1.1.1"],
        accessLog: true,
      },
    ]);
    expect(loadConfig(served[0] ?? {}, {})).toMatchObject({ home: "/h", streamDrain: 3, accessLog: true });
    expect((await runCli(["serve"])).served).toEqual([{}]);
  });

  it("tells the defaults that the settings have", async () => {
    const { stdout } = await runCli(["serve", "--help"]);
    const config: Record<string, unknown> = loadConfig({ home: "/h" }, {});
    for (const [name, { flag, help }] of Object.entries(settingOptions)) {
      expect(stdout).toContain(flag);
      expect(help).toMatch(/\(default: .+\)$/);
      const value = config[name];
      if (typeof value === "number" || name === "domain" || name === "logLevel") {
        expect(help).toContain(`(default: ${value})`);
      }
    }
  });
});

describe("doctor", () => {
  const local = async () => [
    { name: "rsync", found: false, detail: "not there", advice: "apt-get install rsync" },
  ];
  const refuse = () => {
    throw new Error("nobody answers");
  };

  it("looks at this machine itself when no server answers", async () => {
    const ran = await runCli(["doctor"], undefined, { connect: refuse, doctor: local });
    expect(ran).toMatchObject({ code: 0, stdout: "✗ rsync  not there\n         apt-get install rsync\n" });
  });

  it("does not take this machine for a server that was named", async () => {
    const ran = await runCli(["doctor", "--server", "far:7272"], undefined, {
      connect: refuse,
      doctor: local,
    });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toContain("nobody answers");
  });
});
