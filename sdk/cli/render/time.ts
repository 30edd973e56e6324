/** A time span for people: "340 ms", "1.2 s", "2 min 5 s". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const units = [
  { name: "s", ms: 1000, until: 60_000 },
  { name: "min", ms: 60_000, until: 3_600_000 },
  { name: "h", ms: 3_600_000, until: 48 * 3_600_000 },
  { name: "days", ms: 24 * 3_600_000, until: Number.POSITIVE_INFINITY },
] as const;

/** How long ago a time of ISO 8601 is: "12 s ago". What is no time is shown as it is. */
export function ago(iso: string, now: number): string {
  const passed = now - Date.parse(iso);
  if (Number.isNaN(passed)) return iso;
  if (passed < 2000) return "just now";
  const unit = units.find(({ until }) => passed < until) ?? units[3];
  return `${Math.floor(passed / unit.ms)} ${unit.name} ago`;
}
