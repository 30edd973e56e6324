import type { AuditEntry, KeyAdded, KeyReport } from "../../../src/app/key.ts";
import { harmless, type Screen } from "./screen.ts";
import { type Cell, table } from "./table.ts";
import { clock, duration } from "./time.ts";

export function renderKeys(keys: readonly KeyReport[], screen: Screen): string {
  if (keys.length === 0)
    return "Nobody may deploy over SSH yet; `maestro keys add NAME FILE --apps …` lets somebody.\n";
  return table(
    screen,
    ["KEY", "APPS", "ADDED", "FINGERPRINT"],
    keys.map(({ key, apps, addedAt, fingerprint }) => [
      key,
      apps.join(","),
      clock(addedAt, screen.now),
      fingerprint,
    ]),
  );
}

export function renderKeyAdded({ key, apps, user, file, changed, notes }: KeyAdded, _screen: Screen): string {
  const what = changed ? "now deploys" : "may deploy";
  const told = notes.map((note) => `note: ${harmless(note)}\n`).join("");
  return (
    `The key ${key} ${what} ${apps.join(", ")}, as ${harmless(user)} (${harmless(file)}):\n` +
    `  maestro deploy --to ${harmless(user)}@THIS-SERVER --app ${apps[0] ?? "APP"}\n` +
    `  git push ${harmless(user)}@THIS-SERVER:${apps[0] ?? "APP"}.git main\n${told}`
  );
}

export function renderAudit(entries: readonly AuditEntry[], screen: Screen): string {
  if (entries.length === 0) return "Nothing has been done yet.\n";
  return table(
    screen,
    ["AT", "BY", "FROM", "DID", "APP", "OUTCOME"],
    entries.map((entry) => [
      clock(entry.at, screen.now),
      entry.by,
      entry.from ?? "",
      entry.did,
      entry.app ?? "",
      outcomeOf(entry),
    ]),
  );
}

function outcomeOf({ outcome, why, command, tookMs }: AuditEntry): Cell {
  if (outcome === "done" && why !== undefined) return why;
  if (outcome === "done") return tookMs === undefined ? "done" : `done in ${duration(tookMs)}`;
  const asked = command === undefined ? "" : ` \`${command}\``;
  return { text: `${outcome}${asked}${why === undefined ? "" : `: ${why}`}`, tone: "bad" };
}
