import type { SourceEntry } from "../tree.ts";

export type Command = { title: string; command: readonly string[] };

/** How one kind of project is built. What a recipe is follows from the files, and is the same for the same files. */
export type Recipe = {
  /** Names what `install` makes of these files on this machine: the same key, the same dependencies. */
  key: string;
  /** Installs dependencies. */
  install: readonly Command[];
  /** Then makes of the code what is served. */
  compile: readonly Command[];
  /** And takes away what only that needed. Asked once for the same dependencies. */
  prune: Command | null;
  env: Readonly<Record<string, string>>;
  /** Settings that its programs look for in their home: text by name. */
  home: Readonly<Record<string, string>>;
  /** What of runtimes/ is on the path. */
  tools: readonly { name: string; directory: string }[];
  /** What to do about a failure that a line of a program's output tells of; null for any other line. */
  explain(line: string): string | null;
  /** For the person who deploys. */
  notes: readonly string[];
};

/** The files of a project, as they were found. */
export type Project = {
  directory: string;
  entries: readonly SourceEntry[];
  /** SHA-256 of a file's content, in hex; null where there is no such file. */
  digest(path: string): Promise<string | null>;
  /** The same over everything. */
  checksum(): Promise<string>;
};

export const hasFile = ({ entries }: Project, path: string): boolean =>
  entries.some((entry) => entry.kind === "file" && entry.path === path);
