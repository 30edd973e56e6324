/** What `maestro install` did, or with `dryRun` would do, on its own machine. */
export type InstallReport = {
  dryRun: boolean;
  units: InstalledUnit[];
  /** The commands that were run besides, in their order. */
  ran: string[];
  /** What the person who installs has to know. */
  notes: string[];
  /** What to type next. */
  next: { command: string; does: string }[];
};

export type InstalledUnit = {
  path: string;
  content: string;
  state: "planned" | "written" | "replaced" | "unchanged";
  /** Where the earlier content is, if the unit was replaced. */
  keptAs?: string;
};

export type InstallOptions = {
  /** Print only. */
  dryRun: boolean;
  /** Start it as well. */
  now: boolean;
};
