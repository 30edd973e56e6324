import type { DataReport } from "../../../src/protocol/data.ts";
import { harmless, paint, type Screen } from "./screen.ts";
import { type Cell, table } from "./table.ts";
import { ago } from "./time.ts";

type Database = DataReport["databases"][number];
type Direction = Database["directions"][number];

/** The databases: where each is served from, and how far each direction of its replication is. */
export function renderData({ local, databases }: DataReport, screen: Screen): string {
  const but = local.error === null ? "" : `, but ${local.error}`;
  const state = local.isWell === true ? `well${but}` : `not well: ${local.error ?? "not known yet"}`;
  const head = `Local database (${harmless(local.server)}): ${harmless(state)}, since ${ago(local.since, screen.now)}\n`;
  if (databases.length === 0) return `${head}No app has a database yet.\n`;
  const rows = databases.flatMap((database) => rowsOf(database));
  const heading = ["DATABASE", "SERVED", "DIRECTION", "STATE", "DOCS BEHIND", "BEHIND", "ERROR"];
  return [
    head,
    "\n",
    table(screen, heading, rows),
    ...databases.map((database) => notesOf(database, screen)),
  ].join("");
}

function rowsOf({ app, side, remote, directions }: Database): Cell[][] {
  const served: Cell = { text: side, tone: side === "local" ? "good" : "warn" };
  if (remote === null) return [[app, served, "-", "-", "-", "-", ""]];
  if (directions.length === 0) return [[app, served, "-", "not known", "-", "-", remote.error ?? ""]];
  return directions.map((direction, index) => [
    index === 0 ? app : "",
    index === 0 ? served : "",
    ...cellsOf(direction),
    direction.error ?? (remote.isWell ? "" : (remote.error ?? "")),
  ]);
}

const tones = { idle: "good", running: "good", failing: "bad", stopped: "warn" } as const;

const cellsOf = ({ from, state, behind, secondsBehind }: Direction): Cell[] => [
  from === "local" ? "to remote" : "from remote",
  { text: state, tone: tones[state] },
  behind === null ? "-" : String(behind),
  secondsBehind === 0 ? "0 s" : `${secondsBehind} s`,
];

function notesOf({ app, side, conflicts, error, events, remote }: Database, screen: Screen): string {
  const notes = [
    ...(remote === null ? [] : [`second home ${remote.server}`]),
    ...(conflicts === null || conflicts === 0 ? [] : [`${conflicts} documents have conflicts`]),
    ...(error === null ? [] : [side === "remote" ? `not home yet: ${error}` : `not replicated: ${error}`]),
    ...events.slice(-3).map(({ at, event, reason }) => `${event} ${ago(at, screen.now)}: ${reason}`),
  ];
  return notes.map((note) => `  ${paint(screen, "dim", `${app}:`)} ${harmless(note)}\n`).join("");
}
