import { setFlagsFromString } from "node:v8";
import { z } from "zod";

/* Selectors as `_find` and the feed of changes take them. */

/**
 * V8 goes on with an engine whose time is linear when a regular expression keeps it too long: an app's pattern runs in
 * the process that all databases have in common. There are patterns for which that engine is not made: those are refused.
 */
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");
/** V8's own limit for that engine. */
const mostRepeats = 16;

/** Whether a pattern's time is sure to be linear. */
export function isLinear(pattern: string): boolean {
  const bare = pattern.replace(/\\[^1-9k]/g, "").replace(/\[[^\]]*\]/g, "c");
  if (/\\|\(\?[=!<]|\)\{/.test(bare)) return false;
  const counts = [...bare.matchAll(/\{(\d+)(?:,(\d*))?\}/g)];
  return counts.every(([, least = "0", most = ""]) => Math.max(Number(least), Number(most)) <= mostRepeats);
}

/** What a selector may say; PouchDB would take another word for a field, or not look at it at all. */
const operators = new Set(
  "and or nor not all elemMatch allMatch keyMapMatch lt lte eq ne gte gt exists type in nin size mod regex beginsWith text"
    .split(" ")
    .map((name) => `$${name}`),
);

const everyPart = (value: unknown, fits: (name: string, part: unknown) => boolean): boolean =>
  typeof value !== "object" ||
  value === null ||
  Object.entries(value).every(([name, part]) => fits(name, part) && everyPart(part, fits));

export const Selector = z
  .record(z.string(), z.unknown())
  .refine(
    (selector) => everyPart(selector, (name) => !name.startsWith("$") || operators.has(name)),
    "an operator is not known",
  )
  .refine(
    (selector) =>
      everyPart(selector, (name, part) => name !== "$regex" || (typeof part === "string" && isLinear(part))),
    "a $regex has to be a pattern without lookaround, references to groups, counts of groups, and counts above 16",
  );
