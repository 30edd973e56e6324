import type { BuildReport } from "../../../src/app/reports.ts";
import { harmless, type Screen } from "./screen.ts";
import { table } from "./table.ts";
import { ago } from "./time.ts";

export function renderBuilds(builds: readonly BuildReport[], screen: Screen): string {
  if (builds.length === 0) return "Nothing is being built or deployed.\n";
  const rows = builds.map(({ id, app, what, step, detail, since, by }) => [
    id,
    app,
    what,
    detail === undefined ? step : `${step}: ${detail}`,
    ago(since, screen.now),
    by,
  ]);
  return table(screen, ["ID", "APP", "WHAT", "AT", "SINCE", "BY"], rows);
}

export const renderCancelled = ({ app, id }: BuildReport): string =>
  `The deploy ${harmless(id)} of ${harmless(app)} is cancelled.\n`;
