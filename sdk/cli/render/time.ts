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

/**
 * A time of ISO 8601 as the reader's clock shows it: "11:57:01", with the date before it when that is not today's.
 * What is no time is shown as it is.
 */
export function clock(iso: string, now: number): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const [date, today] = [time, new Date(now)].map(localDate);
  const clockTime = [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(":");
  return date === today ? clockTime : `${date} ${clockTime}`;
}

const localDate = (time: Date) =>
  [time.getFullYear(), time.getMonth() + 1, time.getDate()].map(twoDigits).join("-");

const twoDigits = (number: number) => String(number).padStart(2, "0");
