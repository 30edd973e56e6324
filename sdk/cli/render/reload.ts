import type { ReloadReport } from "../../../src/app/reports.ts";
import { harmless, paint, type Screen } from "./screen.ts";

/** What a reload has come to. `tookMs`: from the question to the answer of the next version. */
export function renderReloaded(
  { from, to, pid, workers, instances, tookMs }: ReloadReport & { tookMs: number },
  screen: Screen,
): string {
  const versions = from === to ? `${harmless(to)} again` : `${harmless(from)} → ${harmless(to)}`;
  const parts = [counted(workers, "proxy worker"), counted(instances, "instance")].join(" replaced, ");
  return `${paint(screen, "good", "✓")} Reloaded: ${versions} in ${(tookMs / 1000).toFixed(1)} s; ${parts} taken over, pid ${pid} as before.\n`;
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;
