import { describe, expect, it } from "vitest";
import { renderApps } from "../../../sdk/cli/render/apps.ts";
import { renderReleases } from "../../../sdk/cli/render/releases.ts";
import type { ReleasesReport } from "../../../src/app/reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import { FakeServer, runCli } from "../support.ts";

const now = Date.parse("2026-11-20T12:00:00Z");
const plain = { color: false, terminal: true, now };
const deploy: ReleasesReport["deploys"][number] = {
  id: "mwp00000",
  by: "key alice",
  what: "deploy",
  commit: null,
  steps: [
    { step: "release", tookMs: 12 },
    { step: "ready", tookMs: 1100 },
  ],
  startedAt: "2026-11-20T11:57:00Z",
  heartbeatAt: "2026-11-20T11:57:01Z",
  step: "switch",
  release: 8,
  outcome: "done",
  endedAt: "2026-11-20T11:57:01Z",
  tookMs: 214,
  error: null,
};

describe("maestro releases", () => {
  it("shows what is kept, and how each deploy ended", () => {
    const text = renderReleases(
      {
        app: "shop",
        releases: [
          {
            release: 8,
            state: "current",
            createdAt: "2026-11-20T11:57:00Z",
            files: 770,
            bytes: 5_000_000,
            source: "Procfile",
            by: "key alice",
            commit: "0123456789abcdef0123456789abcdef01234567",
            config: 3,
            checksum: "fedcba98765432100123456789abcdef",
          },
          { release: 7, state: "previous", problem: "v7.json is \u001b[31mgone" },
        ],
        deploys: [
          deploy,
          {
            ...deploy,
            startedAt: "2026-11-20T10:00:00Z",
            what: "config",
            steps: [],
            outcome: "undone",
            step: "start",
            release: 7,
            tookMs: null,
          },
          {
            ...deploy,
            startedAt: "2026-11-19T10:00:00Z",
            steps: [],
            outcome: "failed",
            error: { code: "APP_EXITED", message: "it exited" },
          },
          {
            ...deploy,
            startedAt: "2026-11-20T11:59:59Z",
            what: "rollback",
            steps: [],
            outcome: null,
            step: "ready",
            tookMs: null,
          },
        ],
      },
      plain,
    );
    expect(text).toBe(
      [
        "RELEASE  STATE    MADE       BY         COMMIT      CONFIG  CHECKSUM    FILES  SIZE    FROM",
        "v8       current  3 min ago  key alice  0123456789  c3      fedcba9876  770    4.8 MB  Procfile",
        "v7       broken   -          -          -           -       -           -      -       -",
        "  v7: v7.json is \\x1b[31mgone",
        "",
        "WHEN       WHAT      OUTCOME   RELEASE  TOOK    BY         STEPS",
        "3 min ago  deploy    done      v8       214 ms  key alice  release 12 ms, ready 1.1 s",
        "2 h ago    config    undone    v7       -       key alice",
        "26 h ago   deploy    failed    v8       214 ms  key alice",
        "just now   rollback  at ready  v8       -       key alice",
        '  2 h ago: Maestro ended at the step "start"; nothing was changed',
        "  26 h ago: it exited",
        "",
      ].join("\n"),
    );
  });

  it("asks for as many deploys as it is told", async () => {
    const server = new FakeServer({ releases: () => ({ app: "shop", releases: [], deploys: [] }) });
    const { code, stdout } = await runCli(["releases", "shop", "-n", "3"], server);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "Nothing of shop was deployed yet.\n" });
    expect(server.calls).toEqual([{ name: "releases", input: { app: "shop", deploys: 3 } }]);
  });
});

describe("maestro apps", () => {
  const lastDeath = {
    instance: "web.1",
    release: 3,
    at: "2026-11-20T11:58:00Z",
    exitCode: null,
    signal: "SIGKILL",
  };
  const app = { app: "shop", hostnames: [], urls: [], release: 3, instances: 1, lastDeath };

  it("tells of an instance that ended without being asked to, once the app serves again", () => {
    expect(renderApps([{ ...app, state: "serving" }], plain)).toContain(
      "shop: web.1 of v3 was ended by SIGKILL 2 min ago, and was started again\n",
    );
    expect(renderApps([{ ...app, state: "stopped" }], plain)).not.toContain("SIGKILL");
  });
});

describe("maestro reload", () => {
  const report = { from: "1.0.0", to: "1.1.0", pid: 42, startedAt: "before", workers: 2, instances: 3 };

  it("waits until the next version answers, through the moment in which nobody does", async () => {
    const answers = [
      { startedAt: "before", version: "1.0.0" },
      new MaestroError("INTERNAL", "cannot reach Maestro"),
      { startedAt: "after", version: "1.1.0" },
    ];
    const status = () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const { code, stdout } = await runCli(["reload"], new FakeServer({ reload: () => report, status }));
    expect(code).toBe(0);
    expect(stdout).toBe(
      "✓ Reloaded: 1.0.0 → 1.1.0 in 0.0 s; 2 proxy workers replaced, 3 instances taken over, pid 42 as before.\n",
    );
  });

  it("says why the old version stays", async () => {
    const server = new FakeServer({
      reload: () => {
        throw new MaestroError("RELOAD_FAILED", "the installed version cannot take over: it is broken");
      },
    });
    const { code, stderr } = await runCli(["reload"], server);
    expect(code).toBe(1);
    expect(stderr).toContain("the installed version cannot take over: it is broken");
  });
});

describe("maestro stop, where nobody answers,", () => {
  const refuse = () => {
    throw new MaestroError("INTERNAL", "cannot reach Maestro", { why: "ECONNREFUSED" });
  };
  const left = { home: "/srv/maestro", stopped: ["blog", "shop"], instances: 3, workers: 1 };

  it("ends what a controller has left", async () => {
    const homes: (string | undefined)[] = [];
    const stopWithoutServer = async (home: string | undefined) => {
      homes.push(home);
      return left;
    };
    const { code, stdout } = await runCli(["stop"], undefined, { connect: refuse, stopWithoutServer });
    expect({ code, stdout, homes }).toEqual({
      code: 0,
      stdout:
        "No controller ran on /srv/maestro; what it had left running is ended: blog, shop (3 instances) and 1 proxy worker.\n",
      homes: [undefined],
    });
    await runCli(["stop", "--home", "/elsewhere"], undefined, { connect: refuse, stopWithoutServer });
    expect(homes).toEqual([undefined, "/elsewhere"]);
  });

  it("touches nothing here when a server was named, which may be elsewhere", async () => {
    const { code } = await runCli(["stop", "--server", "far.example.com:7272"], undefined, {
      connect: refuse,
    });
    expect(code).toBe(1);
  });

  it("does not take an app's name for all of Maestro", async () => {
    expect((await runCli(["stop", "shop"], undefined, { connect: refuse })).code).toBe(1);
  });
});
