import { describe, expect, it } from "vitest";
import { renderData } from "../../../sdk/cli/render/data.ts";
import type { DataReport } from "../../../src/protocol/data.ts";

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
