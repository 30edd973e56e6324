import type { ConfigChangeReport, ConfigReport } from "../../../src/app/reports.ts";
import { formatAssignment } from "../../assignments.ts";
import { renderDeployed } from "./deploy.ts";
import { harmless, type Screen } from "./screen.ts";

/** Lines of an .env file. A pipe gets the values as they are. */
export function renderConfig({ app, values }: ConfigReport, { terminal }: Screen): string {
  const lines = Object.entries(values).map(([name, value]) => formatAssignment(name, value));
  if (lines.length === 0 && terminal) return `${harmless(app)} has no variables of its own.\n`;
  return lines.map((line) => `${terminal ? harmless(line) : line}\n`).join("");
}

/** What is another now, and where the app is. */
export function renderConfigChange(report: ConfigChangeReport, tookMs: number, screen: Screen): string {
  const app = harmless(report.app);
  if (report.changed.length === 0) return `Nothing changed: ${app} has these values already.\n`;
  const changed = `Config c${report.config}: changed ${report.changed.map(harmless).join(", ")}.\n`;
  if (report.deploy) return changed + renderDeployed(report.deploy, tookMs, screen);
  return `${changed}Nothing of ${app} serves: it is in force from the next deploy on.\n`;
}
