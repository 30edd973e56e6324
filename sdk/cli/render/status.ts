import type { DoctorCheck, StatusReport } from "../../../src/app/reports.ts";
import { renderApps } from "./apps.ts";
import { harmless, paint, type Screen } from "./screen.ts";
import { type Cell, facts, table } from "./table.ts";
import { ago } from "./time.ts";

/** How the parts of Maestro are, and the apps. */
export function renderStatus(status: StatusReport, screen: Screen): string {
  const main = facts(screen, [
    ["Maestro", `${status.version} on Node ${status.node.replace(/^v/, "")}, pid ${status.pid}`],
    ["started", ago(status.startedAt, screen.now)],
    ["home", status.home],
    ["http", status.http.join(", ")],
    ["rpc", status.rpc],
    ["isolation", describeIsolation(status.isolation)],
  ]);
  const notes = status.isolation.notes
    .map((note) => `  ${paint(screen, "dim", "-")} ${harmless(note)}\n`)
    .join("");
  const away = (status.databasesAway ?? [])
    .map(
      ({ app, since, reason }) =>
        `database ${app} is at its second home since ${ago(since, screen.now)}: ${reason}`,
    )
    .map((sentence) => `  ${paint(screen, "warn", "!")} ${harmless(sentence)}\n`)
    .join("");
  return [main + notes + away, renderWorkers(status.workers, screen), renderApps(status.apps, screen)].join(
    "\n",
  );
}

function describeIsolation({ level, holds, triedAt }: StatusReport["isolation"]): string {
  if (triedAt === null)
    return `${level}; what it holds is tried when an app has started, or by \`maestro doctor\``;
  const names = (wanted: boolean) =>
    Object.entries(holds).flatMap(([name, holdsHere]) => (holdsHere === wanted ? [name] : []));
  const missing = names(false);
  const held = names(true);
  const parts = [
    held.length === 0 ? "" : `${held.join(", ")} held apart`,
    missing.length === 0 ? "" : `not: ${missing.join(", ")}`,
  ];
  return [level, parts.filter((part) => part !== "").join("; ")].filter((part) => part !== "").join(": ");
}

function renderWorkers(workers: StatusReport["workers"], screen: Screen): string {
  if (workers.length === 0) return "No proxy worker runs.\n";
  const rows = workers.map((worker) => [
    String(worker.pid),
    String(worker.connections),
    String(worker.requests),
    stateOfWorker(worker),
  ]);
  return table(screen, ["WORKER", "CONNECTIONS", "REQUESTS", "STATE"], rows);
}

function stateOfWorker({ problem, leaving }: StatusReport["workers"][number]): Cell {
  if (problem !== undefined) return { text: problem, tone: "bad" };
  return leaving ? { text: "leaving", tone: "dim" } : { text: "well", tone: "good" };
}

/** What of the machine is there, what is missing, and what that costs. */
export function renderDoctor(checks: readonly DoctorCheck[], screen: Screen): string {
  const width = Math.max(0, ...checks.map(({ name }) => harmless(name).length));
  return checks
    .map(({ name, found, detail, advice }) => {
      const mark = found ? paint(screen, "good", "✓") : paint(screen, "bad", "✗");
      const advised =
        advice === undefined ? "" : `${" ".repeat(width + 4)}${paint(screen, "dim", harmless(advice))}\n`;
      return `${mark} ${harmless(name).padEnd(width)}  ${harmless(detail)}\n${advised}`;
    })
    .join("");
}
