import { describe, expect, it } from "vitest";
import { renderApps, renderInstances } from "../../../sdk/cli/render/apps.ts";
import { renderDeployed, renderStep } from "../../../sdk/cli/render/deploy.ts";
import { renderFailure } from "../../../sdk/cli/render/failure.ts";
import { renderLogLine } from "../../../sdk/cli/render/logs.ts";
import { harmless, type Screen, wantsColor } from "../../../sdk/cli/render/screen.ts";
import { renderDoctor, renderStatus } from "../../../sdk/cli/render/status.ts";
import { ago, duration } from "../../../sdk/cli/render/time.ts";
import type { AppReport, InstanceReport, LogLine, StatusReport } from "../../../src/app/reports.ts";

const now = Date.parse("2026-11-20T12:00:00Z");
const plain: Screen = { color: false, terminal: true, now };

const shop: AppReport = {
  app: "shop",
  hostnames: ["shop.example.com", "*.shop.example.com"],
  urls: ["http://shop.example.com:8000/"],
  release: 12,
  state: "serving",
  instances: 2,
};
const blog: AppReport = {
  app: "a-long-name",
  hostnames: ["blog.localhost"],
  urls: [],
  release: null,
  state: "failing",
  instances: 0,
  problem: "it keeps dying",
  lastWords: ["Error: \u001b]0;title\u0007 gone"],
};
const instance: InstanceReport = {
  app: "shop",
  instance: "web.1",
  key: "shop.web.1.v12.x",
  release: 12,
  state: "draining",
  port: 20001,
  pid: 4242,
  startedAt: "2026-11-20T11:57:00Z",
  user: "uid 20001",
  isolation: "full",
  memory: { now: 45 * 1024 ** 2, limit: 256 * 1024 ** 2 },
  inFlight: { requests: 1, streams: 2 },
};

describe("apps", () => {
  it("are an aligned table, with what is wrong below it", () => {
    expect(renderApps([shop, blog], plain)).toBe(
      [
        "APP          STATE    RELEASE  INSTANCES  ADDRESS",
        "shop         serving  v12      2          http://shop.example.com:8000/",
        "a-long-name  failing  -        0          blog.localhost",
        "",
        "a-long-name is failing: it keeps dying",
        "  │ Error: \\x1b]0;title\\x07 gone",
        "",
      ].join("\n"),
    );
  });

  it("say how to begin when there are none", () => {
    expect(renderApps([], plain)).toContain("maestro deploy");
  });

  it("have colour without losing their columns", () => {
    const colored = renderApps([shop, blog], { ...plain, color: true });
    expect(colored).toContain("\u001b[32mserving\u001b[0m  v12");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours are what is taken away
    expect(colored.replace(/\u001b\[\d+m/g, "")).toBe(renderApps([shop, blog], plain));
  });
});

describe("instances", () => {
  it("tell since when they run and what is under way at them", () => {
    expect(
      renderInstances([instance, { ...instance, port: null, inFlight: { requests: 0, streams: 0 } }], plain),
    ).toBe(
      [
        "APP   INSTANCE  RELEASE  STATE     PID   PORT   STARTED    UNDER WAY             MEMORY       ISOLATION  USER",
        "shop  web.1     v12      draining  4242  20001  3 min ago  1 request, 2 streams  45M of 256M  full       uid 20001",
        "shop  web.1     v12      draining  4242  -      3 min ago  -                     45M of 256M  full       uid 20001",
        "",
      ].join("\n"),
    );
    expect(renderInstances([], plain)).toBe("Nothing runs.\n");
  });
});

describe("status", () => {
  const status: StatusReport = {
    version: "1.0.0",
    node: "v24.21.0",
    pid: 77,
    home: "/var/lib/maestro",
    startedAt: "2026-11-20T10:00:00Z",
    http: ["127.0.0.1:8000"],
    rpc: "127.0.0.1:7272",
    workers: [
      { pid: 78, connections: 3, requests: 900 },
      { pid: 79, connections: 0, requests: 0, problem: "it does not answer" },
    ],
    isolation: {
      level: "process",
      holds: { user: true, files: false, network: false },
      notes: ["no sandbox yet"],
      attempts: [],
      triedAt: "2026-11-20T10:00:01Z",
    },
    apps: [shop],
  };

  it("tells of the parts, of isolation truthfully, and of the apps", () => {
    expect(renderStatus(status, plain)).toBe(
      [
        "Maestro    1.0.0 on Node 24.21.0, pid 77",
        "started    2 h ago",
        "home       /var/lib/maestro",
        "http       127.0.0.1:8000",
        "rpc        127.0.0.1:7272",
        "isolation  process: user held apart; not: files, network",
        "  - no sandbox yet",
        "",
        "WORKER  CONNECTIONS  REQUESTS  STATE",
        "78      3            900       well",
        "79      0            0         it does not answer",
        "",
        "APP   STATE    RELEASE  INSTANCES  ADDRESS",
        "shop  serving  v12      2          http://shop.example.com:8000/",
        "",
      ].join("\n"),
    );
  });
});

describe("doctor", () => {
  it("marks what is there and what is missing, and says what that costs", () => {
    const checks = [
      { name: "rsync", found: true, detail: "/usr/bin/rsync" },
      { name: "git", found: false, detail: "not on the path", advice: "apt-get install git" },
    ];
    expect(renderDoctor(checks, plain)).toBe(
      "✓ rsync  /usr/bin/rsync\n✗ git    not on the path\n         apt-get install git\n",
    );
  });
});

describe("a deploy", () => {
  it("is a line a step", () => {
    expect(renderStep({ step: "start", state: "began" }, plain)).toBe("starting");
    expect(renderStep({ step: "start", state: "done", detail: "web.1\n", tookMs: 1234 }, plain)).toBe(
      "started web.1\\x0a (1.2 s)",
    );
  });

  it("ends with the address, the release, the time, and the notes", () => {
    const report = { ...shop, release: 12, instances: [], tookMs: 5, notes: ["cron is not run yet"] };
    expect(renderDeployed(report, 2345, plain)).toBe(
      "shop v12 serves (2.3 s)\n  http://shop.example.com:8000/\nnote: cron is not run yet\n",
    );
  });
});

describe("a failure", () => {
  it("shows a message of several lines as such, and nothing that a terminal obeys", () => {
    const wire = {
      code: "BAD_INPUT",
      message: "wrong:\nhttp \u009b2J",
      details: { lastLines: "no list" },
    } as const;
    expect(renderFailure(wire, plain)).toBe("error: wrong:\n  http \\x9b2J\n");
  });
});

describe("log lines", () => {
  const line: LogLine = {
    instance: "web.1",
    release: 3,
    stream: "stdout",
    text: "hi\u001b[31m\u202e there\r",
    at: new Date(2026, 10, 20, 11, 57, 1).toISOString(),
  };

  it("stand behind the reader's local time, release and instance", () => {
    const today = { ...plain, now: new Date(2026, 10, 20, 23, 59).getTime() };
    expect(renderLogLine({ ...line, text: "hello" }, today)).toBe("11:57:01 v3 web.1  hello\n");
    const tomorrow = { ...plain, now: new Date(2026, 10, 21).getTime() };
    expect(renderLogLine({ ...line, text: "hello" }, tomorrow)).toBe("2026-11-20 11:57:01 v3 web.1  hello\n");
    const { at: _, ...earlier } = { ...line, text: "tab\tkept", stream: "stderr" as const };
    expect(renderLogLine(earlier, plain)).toBe("v3 web.1! tab\tkept\n");
  });

  it("are harmless on a terminal, and as they are elsewhere", () => {
    expect(renderLogLine(line, plain)).toContain("hi\\x1b[31m\\u202e there\n");
    expect(renderLogLine(line, { ...plain, terminal: false })).toContain(`${line.text}\n`);
  });
});

describe("colour", () => {
  it("is for terminals, unless NO_COLOR or TERM says otherwise", () => {
    expect(wantsColor(true, {})).toBe(true);
    expect(wantsColor(false, {})).toBe(false);
    expect(wantsColor(true, { NO_COLOR: "1" })).toBe(false);
    expect(wantsColor(true, { NO_COLOR: "" })).toBe(true);
    expect(wantsColor(true, { TERM: "dumb" })).toBe(false);
  });
});

describe("text of somebody else", () => {
  it("loses what a terminal would obey, and nothing that people write", () => {
    expect(harmless("a\u0000b\u007fc\u0085d\u2066e")).toBe("a\\x00b\\x7fc\\x85d\\u2066e");
    expect(harmless("tab\tüñ 日本 👩‍👩‍👧")).toBe("tab\tüñ 日本 👩‍👩‍👧");
  });
});

describe("times", () => {
  it("are relative", () => {
    const at = (ms: number) => ago(new Date(now - ms).toISOString(), now);
    expect([500, 12_000, 59_999, 61_000, 3_600_000, 47 * 3_600_000, 72 * 3_600_000].map(at)).toEqual([
      "just now",
      "12 s ago",
      "59 s ago",
      "1 min ago",
      "1 h ago",
      "47 h ago",
      "3 days ago",
    ]);
    expect(at(-5000)).toBe("just now");
    expect(ago("never", now)).toBe("never");
  });

  it("are spans with a unit", () => {
    expect([0, 340.4, 1249, 59_000, 125_000].map(duration)).toEqual([
      "0 ms",
      "340 ms",
      "1.2 s",
      "59.0 s",
      "2 min 5 s",
    ]);
  });
});
