import { z } from "zod";

/** How long a paused app's requests are held at most, s: what is asked for, and what may be. */
export const pauseS = { usual: 30, most: 3600 } as const;

/** What people read while an app is being worked on, unless they are told something else. */
export const usualMessage = "This site is being worked on and will be back shortly.";

/** Line breaks and tabs, and nothing else that is a control character. */
export const MaintenanceMessage = z
  .string()
  .trim()
  .min(1)
  .max(2000)
  .regex(/^[^\p{Cc}]*(?:[\n\t][^\p{Cc}]*)*$/u, "a message has no control characters in it");

/**
 * What becomes of an app's new requests, besides being answered. `since`: ISO 8601. Those that are under way go on in any
 * case.
 */
export const Mode = z.discriminatedUnion("kind", [
  /** They are held, each for so long at most. */
  z.object({ kind: z.literal("paused"), since: z.string(), holdMs: z.int().min(0) }),
  /** They are answered with 503 and a page that says so. */
  z.object({ kind: z.literal("maintenance"), since: z.string(), message: z.string() }),
]);
export type Mode = z.infer<typeof Mode>;
