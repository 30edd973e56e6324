import { formatBytes } from "../../../src/app/limits.ts";
import {
  type AppTraffic,
  addTraffic,
  noTraffic,
  percentile,
  type TrafficReport,
} from "../../../src/app/traffic.ts";
import { paint, type Screen } from "./screen.ts";
import { type Cell, table } from "./table.ts";

const heading = [
  ...["APP", "INSTANCES", "REQ/S", "2XX/S", "3XX/S", "4XX/S", "5XX/S", "LEFT/S"],
  ...["P50", "P99", "IN/S", "OUT/S", "UNDER WAY", "STREAMS"],
];

/** What went on between two reports, an app a line, the busiest first. `before`: null shows what has been since the start. */
export function renderTop(before: TrafficReport, now: TrafficReport, screen: Screen): string {
  const seconds = Math.max(0.001, (Date.parse(now.at) - Date.parse(before.at)) / 1000);
  const lines = now.apps.map((app) => ({ app, done: between(before, app) }));
  lines.sort((a, b) => b.done.requests - a.done.requests || a.app.app.localeCompare(b.app.app));
  const total = lines.reduce((sum, { done }) => sum + done.requests, 0);
  const head = `${rate(total, seconds)} requests a second, ${now.workers} proxy worker${now.workers === 1 ? "" : "s"}`;
  const rows = lines.map(({ app, done }) => rowOf(app, done, seconds));
  return `${paint(screen, "strong", head)}\n\n${table(screen, heading, rows)}`;
}

/** A worker that has ended takes its counts with it: less than before is a beginning. */
function between({ apps }: TrafficReport, { app, ...now }: AppTraffic): typeof noTraffic {
  const before = apps.find((one) => one.app === app) ?? noTraffic;
  const done = addTraffic(now, before, -1);
  const isLess = done.requests < 0 || [...done.statuses, ...done.histogram].some((count) => count < 0);
  return isLess ? addTraffic(noTraffic, now) : done;
}

function rowOf({ app, instances, inFlight }: AppTraffic, done: typeof noTraffic, seconds: number): Cell[] {
  const [left = 0, , good = 0, moved = 0, wrong = 0, failed = 0] = done.statuses;
  const latency = (share: number) => milliseconds(percentile(done.histogram, share));
  return [
    app,
    String(instances),
    rate(done.requests, seconds),
    ...[good, moved, wrong].map((count) => rate(count, seconds)),
    { text: rate(failed, seconds), tone: failed > 0 ? "bad" : "dim" },
    rate(left, seconds),
    latency(0.5),
    latency(0.99),
    `${formatBytes(Math.round(done.bytesIn / seconds))}`,
    `${formatBytes(Math.round(done.bytesOut / seconds))}`,
    String(inFlight.requests),
    String(inFlight.streams),
  ];
}

function rate(count: number, seconds: number): string {
  const perSecond = count / seconds;
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

function milliseconds(ms: number | null): string {
  if (ms === null) return "-";
  return ms < 1 ? "<1 ms" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
