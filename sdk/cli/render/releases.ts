import type { ReleasesReport } from "../../../src/app/reports.ts";
import { harmless, paint, type Screen, type Tone } from "./screen.ts";
import { type Cell, table } from "./table.ts";
import { ago, duration } from "./time.ts";

type Release = ReleasesReport["releases"][number];
type Deploy = ReleasesReport["deploys"][number];

/** The releases that are kept, and below what was done. */
export function renderReleases({ app, releases, deploys }: ReleasesReport, screen: Screen): string {
  if (releases.length + deploys.length === 0) return `Nothing of ${harmless(app)} was deployed yet.\n`;
  const kept = table(
    screen,
    ["RELEASE", "STATE", "MADE", "BY", "COMMIT", "CONFIG", "CHECKSUM", "FILES", "SIZE", "FROM"],
    releases.map((release) => rowOf(release, screen)),
  );
  const done = table(
    screen,
    ["WHEN", "WHAT", "OUTCOME", "RELEASE", "TOOK", "BY", "STEPS"],
    deploys.map((deploy) => deployRow(deploy, screen)),
  );
  const problems = releases.map(({ release, problem }) => explain(`v${release}`, problem, screen));
  const failures = deploys.map((deploy) =>
    explain(ago(deploy.startedAt, screen.now), reasonOf(deploy), screen),
  );
  return [kept, problems.join(""), "\n", done, failures.join("")].join("");
}

function rowOf(entry: Release, screen: Screen): Cell[] {
  const { release, state, warm, createdAt, by, commit, config, checksum, files, bytes, source, problem } =
    entry;
  return [
    `v${release}`,
    problem === undefined
      ? { text: warm ? `${state}, warm` : state, tone: state === "current" ? "good" : "dim" }
      : { text: "broken", tone: "bad" },
    createdAt === undefined ? "-" : ago(createdAt, screen.now),
    by ?? "-",
    commit?.slice(0, 10) ?? "-",
    config === undefined ? "-" : `c${config}`,
    checksum?.slice(0, 10) ?? "-",
    files === undefined ? "-" : String(files),
    bytes === undefined ? "-" : size(bytes),
    source ?? "-",
  ];
}

const outcomes: Record<NonNullable<Deploy["outcome"]>, Tone> = {
  done: "good",
  finished: "warn",
  undone: "warn",
  failed: "bad",
};

function deployRow(deploy: Deploy, screen: Screen): Cell[] {
  const { startedAt, what, outcome, release, tookMs, by, step, steps } = deploy;
  return [
    ago(startedAt, screen.now),
    what,
    outcome === null ? { text: `at ${step}`, tone: "warn" } : { text: outcome, tone: outcomes[outcome] },
    release === null ? "-" : `v${release}`,
    tookMs === null ? "-" : duration(tookMs),
    by,
    steps.map(({ step: name, tookMs: ms }) => `${name} ${duration(ms)}`).join(", "),
  ];
}

/** Why a deploy did not end as its caller wanted. */
function reasonOf({ outcome, error, step }: Deploy): string | undefined {
  if (outcome === "undone") return `Maestro ended at the step "${step}"; nothing was changed`;
  if (outcome === "finished") return `Maestro ended at the step "${step}"; the next one finished it`;
  return error === null ? undefined : error.message;
}

const explain = (what: string, why: string | undefined, screen: Screen) =>
  why === undefined ? "" : `  ${paint(screen, "dim", `${what}:`)} ${harmless(why)}\n`;

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kib = bytes / 1024;
  return kib < 1024 ? `${kib.toFixed(kib < 10 ? 1 : 0)} KB` : `${(kib / 1024).toFixed(1)} MB`;
}
