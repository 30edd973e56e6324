import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderData } from "../../../sdk/cli/render/data.ts";
import type { DataReport } from "../../../src/protocol/data.ts";
import { directoryWith, FakeServer, runCli } from "../support.ts";

const at = "2026-11-28T12:00:00.000Z";
const screen = { color: false, terminal: false, now: Date.parse(at) + 60_000 };
const well = { server: "embedded", isWell: true, since: at, error: null };
const report: DataReport = {
  local: well,
  databases: [
    { app: "blog", side: "local", remote: null, conflicts: null, error: null, events: [], directions: [] },
    {
      app: "shop",
      side: "remote",
      remote: { ...well, server: "https://couch.example.com/shop" },
      conflicts: 2,
      error: null,
      events: [{ n: 1, app: "shop", at, event: "failed over", reason: "the local database is not well" }],
      directions: [
        {
          from: "local",
          state: "failing",
          behind: 3,
          secondsBehind: 60,
          through: "7",
          error: "ECONNREFUSED",
        },
        { from: "remote", state: "idle", behind: 0, secondsBehind: 0, through: "9", error: null },
      ],
    },
  ],
};

describe("data status", () => {
  it("shows from where each database is served, each direction, conflicts, and what happened", () => {
    expect(renderData(report, screen)).toBe(
      [
        "Local database (embedded): well, since 1 min ago",
        "",
        "DATABASE  SERVED  DIRECTION    STATE    DOCS BEHIND  BEHIND  ERROR",
        "blog      local   -            -        -            -",
        "shop      remote  to remote    failing  3            60 s    ECONNREFUSED",
        "                  from remote  idle     0            0 s",
        "  shop: second home https://couch.example.com/shop",
        "  shop: 2 documents have conflicts",
        "  shop: failed over 1 min ago: the local database is not well",
        "",
      ].join("\n"),
    );
  });

  it("says so when there is nothing to show", () => {
    const nothing = { local: { ...well, isWell: false, error: "ENOENT" }, databases: [] };
    expect(renderData(nothing, screen)).toBe(
      "Local database (embedded): not well: ENOENT, since 1 min ago\nNo app has a database yet.\n",
    );
  });
});

describe("data replicate", () => {
  const to = "https://admin:secret@couch.example.com";
  const asked = async (argv: string[], input?: string) => {
    const server = new FakeServer({ data_replicate: () => ({ apps: ["shop"] }) });
    const ran = await runCli(["data", "replicate", ...argv], server, input === undefined ? {} : { input });
    return { ...ran, calls: server.calls.map((call) => call.input), servers: server.connections };
  };

  it("names the second home by --remote, from standard input, or by --to where that is a URL", async () => {
    expect((await asked(["shop", "--remote", to])).calls).toEqual([{ app: "shop", to }]);
    expect((await asked(["--remote", "-"], `${to}\n`)).calls).toEqual([{ to }]);
    expect((await asked(["shop", "--to", to])).calls).toEqual([{ app: "shop", to }]);
    expect((await asked(["shop", "--stop"])).calls).toEqual([{ app: "shop", to: null }]);
  });

  it("can be asked of a server that is reached by SSH", async () => {
    const { calls, servers } = await asked(["shop", "--remote", to, "--to", "root@host"]);
    expect([calls, servers]).toMatchObject([[{ app: "shop", to }], [{ server: "ssh://root@host" }]]);
  });

  it("is a wrong usage without where to, with --stop as well, and a URL is no server elsewhere", async () => {
    for (const argv of [["shop"], ["shop", "--stop", "--remote", to]]) {
      expect(await asked(argv)).toMatchObject({
        code: 2,
        calls: [],
        stderr: expect.stringContaining("--remote"),
      });
    }
    const elsewhere = await runCli(["apps", "--to", to]);
    expect(elsewhere).toMatchObject({ code: 2, stderr: expect.stringContaining("user@server") });
    expect(elsewhere.stderr).not.toContain("secret");
  });
});

describe("a file that cannot be used", () => {
  it("is a wrong usage that names it, and leaves nothing behind", async () => {
    const directory = await directoryWith();
    const server = () => new FakeServer({ data_access: () => ({ url: "http://shop:x@127.0.0.1:1/shop" }) });
    const missing = join(directory, "none", "shop.jsonl");
    for (const [command, word] of [
      ["export", "write"],
      ["import", "read"],
    ] as const) {
      const ran = await runCli(["data", command, "shop", missing], server());
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining(`cannot ${word} ${missing}`) });
    }
    const broken = await runCli(["data", "export", "shop", join(directory, "shop.jsonl")], server());
    expect(broken.code).toBe(1);
    expect(await readdir(directory)).toEqual([]);
  });
});
