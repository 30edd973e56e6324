import type { InstalledUnit, InstallReport } from "../../../src/app/installation.ts";
import { harmless, paint, type Screen } from "./screen.ts";

/** What was written and run, what one has to know, and what to type next; of a dry run the units themselves. */
export function renderInstallation(report: InstallReport, screen: Screen): string {
  const parts = report.dryRun
    ? report.units.map((unit) => renderUnit(unit, screen))
    : [
        [
          ...report.units.map((unit) => renderPut(unit, screen)),
          ...report.ran.map((command) => ran(command, screen)),
        ].join(""),
      ];
  if (report.notes.length > 0) parts.push(report.notes.map((note) => renderNote(note, screen)).join(""));
  if (report.next.length > 0) parts.push(renderNext(report.next, screen));
  return parts.join("\n");
}

function renderUnit({ path, content }: InstalledUnit, screen: Screen): string {
  const lines = content.trimEnd().split("\n").map(harmless);
  return `${paint(screen, "strong", `# ${harmless(path)}`)}\n${lines.join("\n")}\n`;
}

const words = {
  planned: "would write",
  written: "wrote",
  replaced: "replaced",
  unchanged: "unchanged",
} as const satisfies Record<InstalledUnit["state"], string>;

function renderPut({ path, state, keptAs }: InstalledUnit, screen: Screen): string {
  const kept =
    keptAs === undefined ? "" : paint(screen, "dim", `, kept what was there as ${harmless(keptAs)}`);
  return `${label(words[state], screen)}${harmless(path)}${kept}\n`;
}

const ran = (command: string, screen: Screen) => `${label("ran", screen)}${harmless(command)}\n`;

const label = (word: string, screen: Screen) =>
  paint(screen, word === "unchanged" ? "dim" : "good", word.padEnd(11));

/** A comment also for whoever reads what is printed as a unit. */
const renderNote = (note: string, screen: Screen) =>
  `${paint(screen, "warn", "# note:")} ${harmless(note)}\n`;

function renderNext(next: InstallReport["next"], screen: Screen): string {
  const lines = next.map(
    ({ command, does }) => `  ${paint(screen, "dim", `# ${harmless(does)}`)}\n  ${harmless(command)}\n`,
  );
  return `Next:\n${lines.join("")}`;
}
