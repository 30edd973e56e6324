import type { AppUser } from "./app.ts";
import type { LimitsChange } from "./limits.ts";
import type { Workshop } from "./one-off.ts";

/** One program of a build, which runs to its end before the next one begins. Paths are absolute. */
export type BuildProgram = Workshop & {
  /** What it does, for people: "Installing dependencies with npm 11.6.0". */
  title: string;
  /** The number of the release that is being built. */
  release: number;
  /** Its working directory, which becomes the release. */
  directory: string;
  /** Absent: Maestro's own. */
  node?: string;
  command: readonly string[];
  /** Below the app's config, above Maestro's own. */
  defaults: Readonly<Record<string, string>>;
  /** Above all else. */
  env: Readonly<Record<string, string>>;
  /** What the app asks that a build may use. */
  limits: LimitsChange;
  /** Each line that it writes. */
  onLine(text: string): void;
};

/** Who does what a build needs done: it knows sandboxes, limits, and whom to tell. */
export type Builder = {
  /** As whom its programs run; null: as Maestro itself, which can then write whatever they are given. */
  user: AppUser | null;
  /** Resolves when it has ended well, and nothing of it is left. Throws `BUILD_FAILED` with its last lines. */
  run(program: BuildProgram): Promise<void>;
  /** Tells that something else is being done now. */
  say(title: string): void;
  /** Aborted when nobody wants it any more. */
  signal: AbortSignal;
};
