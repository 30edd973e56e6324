import { readFileSync } from "node:fs";

/** Whether a process stands still: stopped by a signal, or by a freezer of control groups (v1: D, v2: its wchan). */
export function standsStill(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  return (
    state === "T" || state === "D" || /freez|refrigerator/.test(readFileSync(`/proc/${pid}/wchan`, "utf8"))
  );
}
