import { expect, it } from "vitest";
import { renderTop } from "../../../sdk/cli/render/top.ts";
import type { TrafficReport } from "../../../src/app/traffic.ts";
import { FakeServer, runCli } from "../support.ts";

const app = {
  app: "shop",
  instances: 2,
  inFlight: { requests: 3, streams: 1 },
  latencyMs: { p50: 1, p99: 2 },
  requests: 100,
  statuses: [0, 0, 90, 5, 5, 0],
  bytesIn: 2048,
  bytesOut: 4096,
  histogram: [0, 100],
};
const report = (at: string, changes: Partial<typeof app> = {}): TrafficReport => ({
  at,
  workers: 2,
  apps: [
    { ...app, app: "idle" },
    { ...app, ...changes },
  ],
});
const [before, after] = [
  report("2026-11-28T12:00:00Z"),
  report("2026-11-28T12:00:02Z", {
    requests: 121,
    statuses: [0, 0, 110, 5, 5, 1],
    bytesIn: 4096,
    histogram: [0, 100, 20, 1],
  }),
];

it("top shows what went on in between, the busiest app first", () => {
  const text = renderTop(before, after, { color: false, terminal: true, now: 0 });
  expect(text).toBe(
    [
      "11 requests a second, 2 proxy workers",
      "",
      "APP   INSTANCES  REQ/S  2XX/S  3XX/S  4XX/S  5XX/S  LEFT/S  P50    P99    IN/S  OUT/S  UNDER WAY  STREAMS",
      "shop  2          11     10     0      0      0.5    0       <1 ms  <1 ms  1K    0      3          1",
      "idle  2          0      0      0      0      0      0       -      -      0     0      3          1",
      "",
    ].join("\n"),
  );
});

it("top takes counts that have become less for those of a new worker", () => {
  const text = renderTop(
    after,
    { ...before, at: "2026-11-28T12:00:04Z" },
    { color: false, terminal: true, now: 0 },
  );
  expect(text).toMatch(/^shop +2 +50 /m);
});

it("top without a terminal prints one interval, or as many as are asked for", async () => {
  const answers = [before, after, after];
  const server = new FakeServer({ traffic: () => answers.shift() });
  const { code, stdout } = await runCli(["top", "shop", "--json", "-n", "2"], server);
  expect(code).toBe(0);
  expect(
    stdout
      .trim()
      .split("\n")
      .map((one) => JSON.parse(one)),
  ).toEqual([after, after]);
  expect(server.calls).toEqual(Array(3).fill({ name: "traffic", input: { app: "shop" } }));
});
